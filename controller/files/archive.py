"""A folder as one tar stream: never whole in memory, links as links, whatever changes meanwhile."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

PIECE = 1 << 16


class _Out(io.RawIOBase):
    def __init__(self, give: Callable[[bytes], None]) -> None:
        self._give = give

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # tarfile hands over bytes
        for at in range(0, len(data), PIECE):
            self._give(data[at : at + PIECE])
        return len(data)


class _Padded(io.RawIOBase):
    """A file of the size that was announced, even if it is cut short meanwhile: zeros follow."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size).ljust(max(0, size), b"\0")


def archive(top: Path, give: Callable[[bytes], None]) -> int:
    """Send a folder's plain files, folders and links.

    Args:
        top: the folder; names in the archive are relative to it.
        give: takes the pieces.

    Returns:
        how many entries were left out: special ones, and what could not be read.
    """
    skipped = 0
    with tarfile.open(fileobj=cast(IO[bytes], _Out(give)), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for folder, folders, files in os.walk(top, followlinks=False):
            for name in sorted(folders + files):
                path = Path(folder, name)
                try:
                    skipped += not _add(tar, path, str(path.relative_to(top)))
                except OSError:
                    skipped += 1
                tar.members = []  # type: ignore[attr-defined] # or a million files are a million objects
    return skipped


def _add(tar: tarfile.TarFile, path: Path, name: str) -> bool:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
        tar.addfile(_info(path.lstat(), name, str(path.readlink()) if stat.S_ISLNK(mode) else ""))
        return True
    if not stat.S_ISREG(mode):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - by descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        tar.addfile(_info(os.fstat(descriptor), name), cast(IO[bytes], _Padded(file)))
    return True


def _info(seen: os.stat_result, name: str, link: str = "") -> tarfile.TarInfo:
    """Without tarfile's own look-up of user names: in here that would load libraries from the home."""
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = stat.S_IMODE(seen.st_mode), int(seen.st_mtime)
    if link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    elif stat.S_ISDIR(seen.st_mode):
        info.type = tarfile.DIRTYPE
    else:
        info.size = seen.st_size
    return info

"""A local apt repository of exactly the locked packages, so that mmdebstrap can choose nothing else."""

from __future__ import annotations

import hashlib
import io
import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from images.desktop.errors import BuildFailed
from images.desktop.fetch import cached
from images.desktop.lock import Package
from images.desktop.sources import SUITE

_AR_MAGIC = b"!<arch>\n"


def write_repository(packages: tuple[Package, ...], cache: Path, folder: Path) -> None:
    """Make a flat repository.

    Args:
        packages: all in the cache already.
        cache: folder of the package files.
        folder: gets `Packages`, `Release` and a link `pool` to the cache.

    Raises:
        BuildFailed: a package file cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pool").symlink_to(cache.resolve())
    stanzas = []
    for package in packages:
        file = cached(package, cache)
        control = control_text(file).strip()
        stanzas.append(
            f"{control}\nFilename: ./pool/{file.name}\nSize: {package.size}\nSHA256: {package.sha256}\n"
        )
    index = "\n".join(stanzas).encode()
    (folder / "Packages").write_bytes(index)
    # mmdebstrap looks for essential packages in the suite by name, which only a Release file tells.
    digest = hashlib.sha256(index).hexdigest()
    (folder / "Release").write_text(
        f"Suite: {SUITE}\nCodename: {SUITE}\nSHA256:\n {digest} {len(index)} Packages\n"
    )


def control_text(deb: Path) -> str:
    """The control file inside a Debian package (deb(5): an ar archive, control.tar.* comes second)."""
    for name, data in _members(deb):
        if name.startswith("control.tar"):
            with tarfile.open(fileobj=io.BytesIO(_unpacked(name, data))) as control:
                member = control.extractfile("./control")
                if member is not None:
                    return member.read().decode()
    raise BuildFailed(f"{deb.name} is not a Debian package")


def _members(deb: Path) -> Iterator[tuple[str, bytes]]:
    with deb.open("rb") as stream:
        if stream.read(8) != _AR_MAGIC:
            raise BuildFailed(f"{deb.name} is not a Debian package")
        while len(header := stream.read(60)) == 60:
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                return
            yield name, stream.read(size)
            stream.seek(size % 2, io.SEEK_CUR)


def _unpacked(name: str, data: bytes) -> bytes:
    if name.endswith(".xz"):
        return lzma.decompress(data)
    if name.endswith(".zst"):
        zstd = shutil.which("zstd")
        if not zstd:
            raise BuildFailed("a package is compressed with zstd: install zstd")
        return subprocess.run([zstd, "-dc"], input=data, capture_output=True, check=True).stdout
    return data

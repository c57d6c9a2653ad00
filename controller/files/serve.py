"""What may be done inside a home from outside: list, read, write, archive, make a folder, remove.

Runs confined (`confine.py`). Only plain files are read; a name that is a link is never followed at its end.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.files.archive import archive
from controller.files.channel import PIECE, Channel

MAX_PATH = 4_096
MAX_ENTRIES = 5_000
MAX_FILE = 1 << 40
UPLOAD = ".axonos-upload-"
_WORDS = {
    errno.ENOENT: "There is nothing of that name.",
    errno.EEXIST: "There is something of that name already.",
    errno.EDQUOT: "Your home is full: its quota is reached.",
    errno.ENOSPC: "The host's disk is full.",
    errno.EROFS: "Your files are being moved. Try again in a moment.",
    errno.ELOOP: "This is a link; only plain files are read.",
    errno.EISDIR: "This is a folder.",
    errno.EACCES: "Your own permissions forbid that.",
}


class NotServed(Exception):
    """The request makes no sense."""


class BrokenOff(Exception):
    """An upload came wrong; the connection has to end."""


def serve(channel: Channel) -> None:
    """Answer requests until the other side leaves. Raises Gone."""
    while True:
        asked = channel.hear()
        try:
            _ACTS.get(str(asked.get("op")), _nothing)(channel, asked)
        except NotServed as error:
            channel.say(ok=False, code="refused", message=str(error))
        except BrokenOff as error:
            channel.say(ok=False, code="broken_off", message=str(error))
            return
        except OSError as error:
            number = error.errno or errno.EIO
            code = errno.errorcode.get(number, "error").lower()
            channel.say(ok=False, code=code, message=_WORDS.get(number, os.strerror(number)))
            if asked.get("op") == "write":  # pieces of it may be on their way
                return


def _nothing(_channel: Channel, _asked: dict[str, Any]) -> None:
    raise NotServed("There is no such request.")


def _path(asked: dict[str, Any]) -> Path:
    path = asked.get("path")
    if not isinstance(path, str) or len(path) > MAX_PATH or "\0" in path:
        raise NotServed("This is no path.")
    return Path("/", path.lstrip("/"))


def _list(channel: Channel, asked: dict[str, Any]) -> None:
    """A folder's entries, some at a time: links and special files are named, and not looked into."""
    with os.scandir(_path(asked)) as entries:
        some: list[dict[str, Any]] = []
        for number, entry in enumerate(entries):
            if number >= MAX_ENTRIES:
                channel.say(ok=True, entries=some, more=True)
                return
            some.append(_entry(entry))
            if len(some) >= 100:
                channel.say(ok=True, entries=some)
                some = []
    channel.say(ok=True, entries=some, more=False)


def _entry(entry: os.DirEntry[str]) -> dict[str, Any]:
    seen = entry.stat(follow_symlinks=False)
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISREG, "file"), (stat.S_ISLNK, "link"))
    kind = next((word for test, word in kinds if test(seen.st_mode)), "special")
    name = entry.name.encode(errors="replace").decode()
    return {"name": name, "kind": kind, "size": seen.st_size, "mtime_ms": seen.st_mtime_ns // 1_000_000}


def _read(channel: Channel, asked: dict[str, Any]) -> None:
    descriptor = os.open(_path(asked), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - by descriptor
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise NotServed("Only plain files are read.")
        channel.say(ok=True, size=seen.st_size)
        left = seen.st_size
        while left and (data := file.read(min(PIECE, left))):
            channel.give(data)
            left -= len(data)
    channel.say(ok=not left, done=True, **({"message": "The file changed meanwhile."} if left else {}))


def _write(channel: Channel, asked: dict[str, Any]) -> None:
    """A whole file or nothing: it takes its name when all has come."""
    path, size = _path(asked), asked.get("size")
    if type(size) is not int or not 0 <= size <= MAX_FILE or path.name in {"", ".", ".."}:
        raise NotServed("An upload needs a name, and a size of at most 1 TiB.")
    if path.is_dir() and not path.is_symlink():
        raise IsADirectoryError(errno.EISDIR, "folder")
    fresh = path.with_name(UPLOAD + secrets.token_hex(8))
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - by descriptor
            channel.say(ok=True)
            _take(channel, file.write, size)
            os.fsync(descriptor)
        fresh.replace(path)
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()
    channel.say(ok=True, done=True)


def _take(channel: Channel, write: Callable[[memoryview], int | None], size: int) -> None:
    while size:
        data = memoryview(channel.piece())
        if len(data) > size:
            raise BrokenOff("More came than was announced.")
        size -= len(data)
        while data:
            data = data[write(data) or 0 :]


def _archive(channel: Channel, asked: dict[str, Any]) -> None:
    path = _path(asked)
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise NotServed("Only folders are archived.")
    channel.say(ok=True)
    skipped = archive(path, channel.give)
    channel.say(ok=True, done=True, skipped=skipped)


def _mkdir(channel: Channel, asked: dict[str, Any]) -> None:
    _path(asked).mkdir(mode=0o755)
    channel.say(ok=True)


def _remove(channel: Channel, asked: dict[str, Any]) -> None:
    path = _path(asked)
    if path == Path("/"):
        raise NotServed("The home itself is deleted by its own button.")
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)  # by descriptors: a link that takes a folder's place is not followed
    else:
        path.unlink()
    channel.say(ok=True)


_ACTS: dict[str, Callable[[Channel, dict[str, Any]], None]] = {
    "list": _list,
    "read": _read,
    "write": _write,
    "archive": _archive,
    "mkdir": _mkdir,
    "remove": _remove,
}

"""Walks through a folder that somebody else filled, as root: no link is followed, no depth is trusted.

Both functions are iterators that do one small thing between two values, so that the caller sets the pace.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DEEPEST = 500
Way = tuple[str, ...]


def entries(top: Path) -> Iterator[os.stat_result | None]:
    """Everything below a folder, and the folder itself, as far down as `DEEPEST`; None for a mere step.

    What goes away meanwhile is passed over.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        yield top.lstat()
    for _, _, status in _walk(top):
        yield status


def remove(top: Path) -> Iterator[None]:
    """Take a folder away with everything below; what lies deeper than `DEEPEST` goes to folders beside it."""
    folders: list[Way] = []
    for way, folder, status in _walk(top):
        yield
        if status is None:
            continue
        if not stat.S_ISDIR(status.st_mode):
            with suppress(FileNotFoundError):
                os.unlink(way[-1], dir_fd=folder)
        elif len(way) < DEEPEST:
            folders.append(way)
        else:
            os.rename(way[-1], top.parent / f"{top.name}-{time.time_ns()}", src_dir_fd=folder)
    for way in reversed(folders):
        with suppress(FileNotFoundError, NotADirectoryError), _opened(top, way[:-1]) as folder:
            os.rmdir(way[-1], dir_fd=folder)
        yield
    with suppress(FileNotFoundError):
        top.rmdir()


def _walk(top: Path) -> Iterator[tuple[Way, int, os.stat_result | None]]:
    """Each entry with the way to it and its folder, open; None for a step on that way."""
    ahead: list[Way] = [()]
    while ahead:
        way = ahead.pop()
        with suppress(FileNotFoundError, NotADirectoryError), _opened(top, way) as folder:
            yield from ((way, folder, None) for _ in way)
            for name in [entry.name for entry in os.scandir(folder)]:
                with suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode) and len(way) + 1 < DEEPEST:
                        ahead.append((*way, name))
                    yield (*way, name), folder, status


@contextmanager
def _opened(top: Path, way: Way) -> Iterator[int]:
    folder = os.open(top, FOLDER)
    try:
        for name in way:
            below = os.open(name, FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)

"""Homes that are plain folders, where the file system is not btrfs: put away, brought back, deleted.

Each is a rename into the wallet's own folder, which is root's. What is deleted lies there until the guard has
taken it away, at its own pace (`guard/home_walk.py`). There are no snapshots.
"""

from __future__ import annotations

import time
from pathlib import Path

from controller.host.home_snapshots import PUT_AWAY
from controller.host.words import HostRefused

DELETED = "deleted-"
ASIDE = "lost-"


def put_away(home: Path, where: Path) -> None:
    """The home is not there any more, and can be brought back."""
    discard(where / PUT_AWAY, where)  # of a time before
    home.rename(where / PUT_AWAY)


def bring_back(home: Path, where: Path) -> None:
    """The home is what was put away.

    Raises:
        HostRefused: home_missing; nothing was.
    """
    if (where / PUT_AWAY).is_dir():
        if home.is_dir():
            put_aside(home, where)
        (where / PUT_AWAY).rename(home)
    elif not home.is_dir():  # else it was broken off before
        raise HostRefused("home_missing", "what was put away is not here")


def put_aside(home: Path, where: Path) -> None:
    """A home of a time before, whose owner has begun anew, is kept out of the way."""
    home.rename(where / f"{ASIDE}{time.time_ns()}")


def delete(home: Path, where: Path) -> None:
    """Nothing of the home is in its place any more, nor of what was kept of it."""
    discard(home, where)
    for path in sorted(where.iterdir()):
        if path.name == PUT_AWAY or path.name.startswith(ASIDE):
            discard(path, where)


def discard(folder: Path, where: Path) -> None:
    """Have a folder taken away, if it is there."""
    if folder.is_dir():
        folder.rename(where / f"{DELETED}{time.time_ns()}")

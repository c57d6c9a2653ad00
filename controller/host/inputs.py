"""When somebody last typed, clicked or moved the pointer at a desktop: the gateway notes it, the guard looks.

A file for each slot in a folder of the gateway's; its content is nothing, its time of change is all.
"""

from __future__ import annotations

import grp
import os
from contextlib import suppress
from pathlib import Path

from controller.host.config import HostConfig


def make_folder(config: HostConfig) -> None:
    """Make the folder, as root: the gateway may write there, nobody else.

    Without a gateway's group there is none: no mark must mean no input, never that nobody could write it.
    """
    folder = _folder(config.run_dir)
    with suppress(OSError, KeyError):
        group = grp.getgrnam(config.gateway_group).gr_gid
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, -1, group)
        folder.chmod(0o770)


def note(run_dir: Path, slot: str) -> None:
    """There was input at a slot just now; without a folder, as where no guard runs, nobody is told."""
    with suppress(OSError):
        (_folder(run_dir) / slot).touch(mode=0o640)


def last(run_dir: Path, slot: str) -> int | None:
    """A mark that changes with each input; 0 before the first, None where inputs are not noted at all."""
    try:
        return (_folder(run_dir) / slot).stat(follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        return 0 if _folder(run_dir).is_dir() else None


def forget(run_dir: Path, slots: set[str]) -> None:
    """Drop the marks of all slots but these."""
    with suppress(OSError):
        for entry in list(_folder(run_dir).iterdir()):
            if entry.name not in slots:
                entry.unlink()


def _folder(run_dir: Path) -> Path:
    return run_dir / "inputs"

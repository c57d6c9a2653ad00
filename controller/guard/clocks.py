"""Writes how long a shell's balance lasts into a file that its prompt reads.

The folder belongs to whoever works inside: a name in it may be anything. The file is made anew beside it and
takes its place, through the opened folder; what stands there is never opened, followed or waited for.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

from controller.guard.report import Clock
from controller.host.config import HostConfig
from controller.host.names import Slot

NAME = "time-left"


def show(config: HostConfig, clock: Clock, now_ms: int) -> bool:
    """Replace the file; false where that cannot be done (the folder is full, or gone).

    Args:
        config: the host.
        clock: the controller's word.
        now_ms: the host's wall clock, which the shell inside reads too.
    """
    empty_s, ends_s = ((now_ms + ms) // 1000 for ms in (clock.empty_in_ms, clock.ends_in_ms))
    new = f".{NAME}-{secrets.token_hex(8)}"
    try:
        folder = os.open(Slot(config, clock.slot).folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        _write(folder, new, f"{clock.state} {empty_s} {ends_s}\n")
        os.replace(new, NAME, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(new, dir_fd=folder)
        return False
    finally:
        os.close(folder)
    return True


def _write(folder: int, name: str, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o644, dir_fd=folder)
    try:
        os.fchmod(descriptor, 0o644)
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)

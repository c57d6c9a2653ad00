"""Ends what a cancelled playbook leaves running: Ansible's workers leave its process group and survive it.

Each worker leads a session in which its module runs. A task in the middle (a package being unpacked) gets
some seconds to end by itself. Services that a task had started lead sessions of their own and live on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

PATIENCE_S = 20.0
INSIST_S = 5.0
LOOK_EVERY_S = 0.1


def end_workers(mark: str) -> None:
    """Wait for the workers, then ask those that remain to end, then end them.

    Args:
        mark: a path that stands in the command line of this run's processes, and of no other's.
    """
    sessions = {os.getsid(pid) for pid in _named(mark) if pid != os.getpid()} - {os.getsid(0)}
    for number, patience_s in ((None, PATIENCE_S), (signal.SIGTERM, INSIST_S), (signal.SIGKILL, INSIST_S)):
        until = time.monotonic() + patience_s
        while (left := _of_sessions(sessions)) and time.monotonic() < until:
            for pid in left if number else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number or 0)
            time.sleep(LOOK_EVERY_S)


def _named(mark: str) -> list[int]:
    return [pid for pid in _processes() if mark in _read(pid, "cmdline")]


def _of_sessions(sessions: set[int]) -> list[int]:
    """Processes of these sessions that still run; zombies do not count."""
    found = []
    for pid in _processes():
        fields = _read(pid, "stat").rpartition(")")[2].split()
        if len(fields) > 3 and int(fields[3]) in sessions and fields[0] != "Z":
            found.append(pid)
    return found


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""

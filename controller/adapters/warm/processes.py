"""Ending a run's processes, all of them: Ansible puts each task's process into a session of its own."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import signal
from collections import defaultdict
from pathlib import Path

MARK = "AXONOS_RUN_WAY"  # in the environment of a run's programs: a file of this run alone
_SET_NAME = 15  # prctl
ROUNDS = 5  # a process may fork while it is looked for


def kill_tree(leader: int) -> None:
    """Kill a process and everything that descends from it; what runs as another user is left to itself."""
    for _ in range(ROUNDS):
        found = descendants(leader)
        for pid in found:
            _kill(pid)
        if not found:
            break
    _kill(leader)


def kill_run(way: str) -> None:
    """Kill what is left of one run: forks by their name, programs by their environment.

    A connection that ssh keeps for later runs (ControlPersist) stays: it belongs to no run.

    Args:
        way: the run's own value of `MARK`.
    """
    mark, name = f"{MARK}={way}".encode(), _name(way)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            comm = (entry / "comm").read_text().strip()
            if comm == name or (comm != "ssh" and mark in (entry / "environ").read_bytes().split(b"\0")):
                _kill(int(entry.name))
        except OSError:  # gone, or somebody else's
            continue


def name_run(way: str) -> None:
    """Give this process, and all that is forked from it, the run's name."""
    ctypes.CDLL(None).prctl(_SET_NAME, _name(way).encode(), 0, 0, 0)


def _name(way: str) -> str:
    return f"run-{hashlib.sha256(way.encode()).hexdigest()[:11]}"  # a process's name holds 15 bytes


def kill_strays(known: set[int]) -> None:
    """Kill copies of this process that lost their parent: tasks of a run whose own process was killed."""
    own = Path("/proc/self/cmdline").read_bytes()
    for pid in _children().get(os.getpid(), []):
        try:
            if pid not in known and Path(f"/proc/{pid}/cmdline").read_bytes() == own:
                kill_tree(pid)
        except OSError:
            continue


def descendants(leader: int) -> list[int]:
    """Processes below one, the nearest first; those that have ended already do not count."""
    children = _children()
    found = list(children.get(leader, []))
    for pid in found:
        found += children.get(pid, [])
    return found


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for entry in os.listdir("/proc"):  # noqa: PTH208 - hundreds of them
        if not entry.isdigit():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state not in "ZX":
            found[int(parent)].append(int(entry))
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)

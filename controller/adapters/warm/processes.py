"""Ending a run's processes, all of them: Ansible puts each task's process into a session of its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import defaultdict
from pathlib import Path

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


def kill_marked(mark: str) -> None:
    """Kill every process that was started with this word in its environment.

    A connection that ssh keeps for later runs (ControlPersist) stays: it belongs to no run.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            marked = mark.encode() in (entry / "environ").read_bytes()
            if marked and (entry / "comm").read_text().strip() != "ssh":
                _kill(int(entry.name))
        except OSError:  # gone, or somebody else's
            continue


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

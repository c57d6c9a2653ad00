"""One change of a stack at a time: the second waits, and a lock whose owner is dead is taken away.

Two locks: ours (an flock, gone with its process, so our own runs queue) and Pulumi's (a file that stays when
the CLI is killed). Pulumi's is removed only when its owner, on this host, no longer runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import Interrupted, StackBusy
from infra.reporting import Report

LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Owner:
    """Who holds Pulumi's lock on the stack."""

    pid: int
    hostname: str

    def is_dead(self) -> bool:
        """True only for a process of this host that is gone, or whose number another program has now."""
        if self.hostname != socket.gethostname():
            return False
        try:
            return Path(f"/proc/{self.pid}/comm").read_text().strip() != "pulumi"
        except OSError:
            return True


def owners(backend_dir: Path, project: str, stack: str) -> list[Owner]:
    """Who is recorded as changing this stack; empty when nobody is."""
    folder = backend_dir / ".pulumi" / "locks" / "organization" / project / stack
    found = []
    for path in folder.glob("*.json"):
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError):  # released, or being written, this moment
            continue
        found.append(owner_of(record))
    return found


def owner_of(record: dict[str, Any]) -> Owner:
    """Whom a lock of Pulumi's names."""
    return Owner(pid=int(record["pid"]), hostname=str(record["hostname"]))


@contextmanager
def turn(
    backend_dir: Path,
    *,
    timeout_s: float,
    report: Report,
    stopped: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold our lock for the block.

    Args:
        backend_dir: where Pulumi's files lie.
        timeout_s: how long to wait for the run before us.
        report: told once that we wait.
        stopped: says whether to give up waiting.
        sleep: waits some seconds.

    Raises:
        StackBusy: it took too long.
        Interrupted: waiting was given up.
    """
    backend_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = backend_dir / "turn.lock"
    with path.open("a+") as file:
        if not _taken(file.fileno()):
            file.seek(0)
            holder = file.read().strip() or "another program"
            report(f"waiting for {holder}, which is changing this stack")
            until(lambda: _taken(file.fileno()), timeout_s, stopped, holder, sleep)
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def wait_for_owner(
    look: Callable[[], list[Owner]],
    *,
    timeout_s: float,
    report: Report,
    stopped: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until Pulumi's lock is free or its owner is dead.

    Args:
        look: the lock's owners now.
        timeout_s: how long to wait for one that lives.
        report: told once that we wait.
        stopped: says whether to give up waiting.
        sleep: waits some seconds.

    Returns:
        Whether a dead owner's lock has to be taken away.

    Raises:
        StackBusy: the owner still works on it.
    """
    living = [owner for owner in look() if not owner.is_dead()]
    if living:
        name = f"pulumi process {living[0].pid} on {living[0].hostname}"
        report(f"waiting for {name}, which is changing this stack")
        until(lambda: all(owner.is_dead() for owner in look()), timeout_s, stopped, name, sleep)
    return bool(look())


def until(
    done: Callable[[], bool],
    timeout_s: float,
    stopped: Callable[[], bool],
    holder: str,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait for our turn.

    Raises:
        StackBusy: it took too long; `holder` is named.
        Interrupted: waiting was given up.
    """
    waited = 0.0
    while not done():
        if stopped():
            raise Interrupted
        if waited >= timeout_s:
            raise StackBusy(f"{holder} is still changing this stack. Try again when it has finished.")
        sleep(LOOK_EVERY_S)
        waited += LOOK_EVERY_S


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

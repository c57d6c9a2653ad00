"""One worker put together: which loops there are, how often they look, how it stops."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass

from controller.services import deposits, expiry, metering, placing, reconcile
from controller.services.deps import Deps
from controller.services.ports import Provisioner
from controller.worker.loops import Loop
from controller.worker.run_loop import RunLoop

ROOM = 4
DRAIN_S = 25.0


@dataclass(frozen=True)
class Worker:
    """One worker's loops."""

    deps: Deps
    runs: RunLoop
    loops: tuple[Loop, ...]
    stopping: threading.Event

    def serve(self) -> int:
        """Run until told to stop; then let runs in work come to their end. Returns runs left behind."""
        threads = [loop.start() for loop in self.loops]
        self.stopping.wait()
        left = self.runs.drain(DRAIN_S)
        for loop in self.loops:
            loop.stopping.set()
            loop.wake.set()
        for thread in threads:
            thread.join(timeout=2)
        return left


def make_worker(deps: Deps, provisioner: Provisioner, stopping: threading.Event) -> Worker:
    """All loops; after a finished run GPUs may be free, so the planner is woken at once."""
    settings = deps.settings
    queue = Loop("queue", lambda: placing.promote(deps), 0.5, stopping)

    def finished() -> None:
        queue.wake.set()
        take.wake.set()

    owner = f"{socket.gethostname()}:{os.getpid()}"
    runs = RunLoop(deps, provisioner, owner=owner, room=ROOM, finished=finished)
    take = Loop("runs", runs.take_some, 0.1, stopping)
    # Renewals go on while runs in work come to their end.
    leases = Loop("leases", runs.renew, 10.0, threading.Event())
    loops = (
        take,
        queue,
        leases,
        Loop("expiry", lambda: expiry.expire(deps), 0.5, stopping),
        Loop("warnings", lambda: expiry.warn(deps), 2.0, stopping),
        Loop("tick", lambda: metering.tick(deps), settings.sessions.tick_s, stopping),
        Loop("reconcile", lambda: reconcile.reconcile(deps), 3.0, stopping),
        Loop("chain", lambda: deposits.watch_once(deps), settings.chain.poll_ms / 1000, stopping),
    )
    return Worker(deps, runs, loops, stopping)

"""One worker put together: which loops there are, how often they look, how it stops."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass

from controller.adapters.wakeups import Wakeups
from controller.services.deps import Deps
from controller.services.homes import storage_bills, storage_life
from controller.services.money import invariants, metering
from controller.services.pool import fill as pool_fill
from controller.services.ports import Provisioner
from controller.services.queue import placing
from controller.services.reports import reconcile
from controller.services.sessions import expiry, idle, warnings
from controller.services.wallets import contract_sessions
from controller.services.x402 import recover as x402_recover
from controller.worker import clock_loop
from controller.worker.chain_loops import chain_loops
from controller.worker.loops import Loop
from controller.worker.run_loop import RunLoop

ROOM = 4
LOOK_ANYWAY_S = 1.0  # whoever makes work wakes the worker; a missed word costs this at most
DRAIN_S = 25.0


@dataclass(frozen=True)
class Worker:
    """One worker's loops."""

    deps: Deps
    runs: RunLoop
    loops: tuple[Loop, ...]
    stopping: threading.Event
    wakeups: Wakeups | None

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
        if self.wakeups:
            self.wakeups.close()
        return left


def make_worker(
    deps: Deps, provisioner: Provisioner, stopping: threading.Event, wakeups: Wakeups | None = None
) -> Worker:
    """All loops.

    Args:
        deps: ports.
        provisioner: runs the playbooks.
        stopping: set when the worker shall stop.
        wakeups: what other processes say; this worker's own finished runs wake it in any case.
    """
    settings = deps.settings
    watch = placing.Watch()
    queue = Loop("queue", lambda: placing.promote(deps, watch), LOOK_ANYWAY_S, stopping)
    pool = Loop("pool", lambda: pool_fill.fill(deps), LOOK_ANYWAY_S, stopping)

    def finished() -> None:
        queue.wake.set()
        take.wake.set()
        pool.wake.set()

    owner = f"{socket.gethostname()}:{os.getpid()}"
    runs = RunLoop(deps, provisioner, owner=owner, room=ROOM, finished=finished)
    take = Loop("runs", runs.take_some, LOOK_ANYWAY_S, stopping)
    # Renewals go on while runs in work come to their end.
    leases = Loop("leases", runs.renew, 1.5, threading.Event())
    by_word = {"runs": take, "queue": queue}

    def take_over() -> int:
        released = runs.take_over()
        if released:
            take.wake.set()
        return released

    def listen() -> int:
        heard = wakeups.wait(LOOK_ANYWAY_S) if wakeups else frozenset()
        for word in heard & by_word.keys():
            by_word[word].wake.set()
        return len(heard)

    loops = (
        *([Loop("wakeups", listen, 0, stopping)] if wakeups else []),
        Loop("dead workers", take_over, 1.0, stopping),
        take,
        queue,
        leases,
        Loop("expiry", lambda: expiry.expire(deps), 0.5, stopping),
        Loop("idle", lambda: idle.look(deps), 5.0, stopping),
        Loop("warnings", lambda: warnings.warn(deps), 2.0, stopping),
        Loop("tick", lambda: metering.tick(deps), settings.sessions.tick_s, stopping),
        Loop("storage", lambda: storage_bills.bill(deps), 30.0, stopping),
        Loop("homes", lambda: storage_life.look(deps), 30.0, stopping),
        pool,
        Loop("reconcile", lambda: reconcile.reconcile(deps), 3.0, stopping),
        Loop("invariants", lambda: invariants.check_due(deps), 60.0, stopping),
        Loop("clock", lambda: clock_loop.look(deps), 60.0, stopping),
        Loop("contract wallets", lambda: contract_sessions.recheck(deps), 60.0, stopping),
        *([Loop("settlements", lambda: x402_recover.recover(deps), 2.0, stopping)] if settings.x402 else []),
        *chain_loops(deps, stopping),
    )
    return Worker(deps, runs, loops, stopping, wakeups)

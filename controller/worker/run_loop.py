"""Takes runs as long as there is room, works on each in a thread, and renews their leases meanwhile."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from controller.errors import Unavailable
from controller.services.deps import Deps
from controller.services.ports import Provisioner
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work

log = logging.getLogger(__name__)


class RunLoop:
    """Executes queued runs. `take_some` and `renew` are steps of loops."""

    def __init__(
        self,
        deps: Deps,
        provisioner: Provisioner,
        *,
        owner: str,
        room: int,
        finished: Callable[[], None],
    ) -> None:
        """Args: ports; name of this worker; runs at the same time; called after each finished run."""
        self._deps, self._provisioner, self._owner = deps, provisioner, owner
        self._room, self._finished = room, finished
        self._pool = ThreadPoolExecutor(room, thread_name_prefix="run")
        self._lock = threading.Lock()
        self._active: dict[Future[None], runs.Taken] = {}

    def take_some(self) -> int:
        """Take runs while there is room. Returns how many."""
        taken = 0
        while len(self._active) < self._room:
            run = runs.take(self._deps, self._owner)
            if run is None:
                break
            taken += 1
            future = self._pool.submit(self._work, run)
            with self._lock:
                self._active[future] = run
            future.add_done_callback(self._forget)
        return taken

    def renew(self) -> int:
        """Renew the leases of all runs in work. Returns how many."""
        with self._lock:
            active = list(self._active.values())
        for run in active:
            if not runs.renew(self._deps, run):
                log.warning("run %s: another worker has it by now", run.id)
        return len(active)

    def take_over(self) -> int:
        """Release the runs of workers of this machine that are no more. Returns how many runs.

        Beyond this machine only the lease tells; a wrong guess is harmless, since every write is fenced.
        """
        dead = [owner for owner in runs.owners(self._deps) if owner and _is_dead(owner)]
        released = 0
        for owner in dead:
            log.warning("worker %s is no more: its runs are taken over", owner)
            released += runs.release(self._deps, owner)
        return released

    def drain(self, timeout_s: float) -> int:
        """Wait for runs in work. Returns how many are left; their leases run out and others take them."""
        with self._lock:
            active = list(self._active)
        left = len(wait(active, timeout=timeout_s).not_done)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return left

    def _work(self, run: runs.Taken) -> None:
        try:
            run_work.work(self._deps, self._provisioner, run)
        except Unavailable as error:
            log.warning("run %s: %s; it is taken again after its lease", run.id, error.code)
        except Exception:
            log.exception("run %s: failed in the worker; it is taken again after its lease", run.id)

    def _forget(self, future: Future[None]) -> None:
        with self._lock:
            self._active.pop(future, None)
        self._finished()


def _is_dead(owner: str) -> bool:
    machine, _, process = owner.rpartition(":")
    return machine == socket.gethostname() and not Path("/proc", process).exists()

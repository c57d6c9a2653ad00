"""`python -m controller.worker`: all loops of one worker, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass

from controller.adapters.provisioner import AnsibleProvisioner
from controller.adapters.wiring import make_deps
from controller.errors import SettingsInvalid
from controller.services import deposits, expiry, metering, placing, reconcile
from controller.services.deps import Deps
from controller.services.ports import Provisioner
from controller.services.status import WORKER_NAME, with_application_name
from controller.settings import load_settings
from controller.worker.loops import Loop
from controller.worker.run_loop import RunLoop

log = logging.getLogger(__name__)
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


def main() -> int:
    """Entry of the process. Returns its exit status."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(threadName)s %(name)s %(message)s"
    )
    try:
        settings = with_application_name(load_settings(), WORKER_NAME)
        deps = make_deps(settings)
    except SettingsInvalid as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - before logging has anywhere to go
        return 2
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    provisioner = AnsibleProvisioner(settings.playbooks_dir, settings.state_dir)
    worker = make_worker(deps, provisioner, stopping)
    log.info("worker of instance %s starts, %s loops", settings.instance, len(worker.loops))
    left = worker.serve()
    log.info("worker stops; %s runs left to others", left)
    return 0


if __name__ == "__main__":
    # A run that did not come to its end in time keeps threads alive; its lease runs out by itself.
    code = main()
    sys.stdout.flush()
    os._exit(code)

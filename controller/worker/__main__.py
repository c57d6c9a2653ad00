"""`python -m controller.worker`: all loops of one worker, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from controller.adapters.provisioner import AnsibleProvisioner
from controller.adapters.wakeups import Wakeups
from controller.adapters.wiring import make_deps
from controller.errors import SettingsInvalid
from controller.services.pricing import payment_addresses
from controller.services.status import WORKER_NAME, with_application_name
from controller.settings import load_settings
from controller.worker import collector
from controller.worker.worker import make_worker

log = logging.getLogger(__name__)


def main() -> int:
    """Entry of the process. Returns its exit status."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(threadName)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every address, keys in them too
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
    worker = make_worker(deps, provisioner, stopping, Wakeups(settings.database.url))
    collector.calm()
    log.info("worker of instance %s starts, %s loops", settings.instance, len(worker.loops))
    log.info("%s", payment_addresses.told(settings))
    left = worker.serve()
    log.info("worker stops; %s runs left to others", left)
    provisioner.close()
    return 0


if __name__ == "__main__":
    # A run that did not come to its end in time keeps threads alive; its lease runs out by itself.
    code = main()
    sys.stdout.flush()
    os._exit(code)

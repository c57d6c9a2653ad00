"""`python -m controller.guard`: one process per GPU host, as root. Reads `AXONOS_CONFIG`."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from controller.guard import files
from controller.guard.events import follow
from controller.guard.loop import Guard
from controller.guard.report import Controller
from controller.host.config import ConfigInvalid, default_path, load


def main() -> int:
    """Returns 0 after SIGTERM, 1 when the configuration has problems; they are on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        config = load(default_path("axonos"), trusted=True)
    except ConfigInvalid as error:
        sys.stderr.write(f"axonos guard: {error}\n")
        return 1
    stopping, woken = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        stopping.set()
        woken.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    follow(config, woken, stopping)
    files.listen(config, stopping)
    Guard(config, Controller(config)).run(stopping, woken)
    return 0


if __name__ == "__main__":
    sys.exit(main())

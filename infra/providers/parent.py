"""Ends this process when the one that started it is gone, so that a killed engine leaves nothing behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

LOOK_EVERY_S = 1.0


def end_with_parent(then: Callable[[], None] = lambda: os._exit(1)) -> None:
    """Watch from a thread; call `then` once the parent process has changed."""
    born_of = os.getppid()
    wait = threading.Event().wait

    def watch() -> None:
        while os.getppid() == born_of:
            wait(LOOK_EVERY_S)
        then()

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()

"""Loops in threads that outlive what they depend on: a step that fails is said once and tried again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.errors import Unavailable

log = logging.getLogger(__name__)
OUTAGE_PAUSE_S = 2.0


@dataclass
class Loop:
    """Calls `step` again and again; after a step that did nothing it pauses, or until somebody wakes it."""

    name: str
    step: Callable[[], int]
    pause_s: float
    stopping: threading.Event
    wake: threading.Event = field(default_factory=threading.Event)
    _outage: str | None = None

    def run(self) -> None:
        """Loop until `stopping` is set."""
        while not self.stopping.is_set():
            pause = self.pause_s if self.once() else OUTAGE_PAUSE_S
            self.wake.wait(pause)
            self.wake.clear()

    def once(self) -> bool:
        """One step; False if it failed. Outages are logged at their start and at their end."""
        try:
            self.step()
        except Unavailable as error:
            if self._outage != error.code:
                log.warning("%s: %s", self.name, error.code)
            self._outage = error.code
            return False
        except Exception:
            log.exception("%s: the step failed", self.name)
            self._outage = "internal_error"
            return False
        if self._outage:
            log.info("%s: works again after %s", self.name, self._outage)
            self._outage = None
        return True

    def start(self) -> threading.Thread:
        """Run in a thread of its own."""
        thread = threading.Thread(target=self.run, name=self.name, daemon=True)
        thread.start()
        return thread

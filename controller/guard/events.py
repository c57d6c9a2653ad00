"""Wakes the guard when one of its containers starts or ends, so the controller learns of it at once."""

from __future__ import annotations

import threading

from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.names import LABEL_INSTANCE
from controller.host.words import HostRefused

AGAIN_S = 1.0


def follow(config: HostConfig, woken: threading.Event, stopping: threading.Event) -> threading.Thread:
    """Follow the engine's events in a thread of its own, across restarts of the engine."""
    thread = threading.Thread(target=_follow, args=(config, woken, stopping), daemon=True, name="events")
    thread.start()
    return thread


def _follow(config: HostConfig, woken: threading.Event, stopping: threading.Event) -> None:
    chosen = {
        "type": ["container"],
        "event": ["start", "die", "destroy"],
        "label": [f"{LABEL_INSTANCE}={config.instance}"],
    }
    while not stopping.is_set():
        engine = Engine(timeout_s=None)
        try:
            answer = engine.open("GET", "/events", filters=chosen)
            while answer.readline():
                woken.set()
        except (HostRefused, EngineRefused, OSError):
            pass
        finally:
            engine.close()
        woken.set()  # whatever happened meanwhile was missed
        stopping.wait(AGAIN_S)

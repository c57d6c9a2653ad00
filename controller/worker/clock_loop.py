"""Tells the operator when somebody moved this machine's wall clock; nothing else of the platform notices."""

from __future__ import annotations

import socket

from controller.adapters.clock import SteadyClock
from controller.services.alerts import clear_alert, raise_alert
from controller.services.deps import Deps

MOVED_MS = 2_000


def look(deps: Deps) -> int:
    """Raise or clear this machine's alert. Returns whether the clock is off, 1 or 0."""
    clock = deps.clock
    if not isinstance(clock, SteadyClock):
        return 0
    moved_ms, machine = clock.moved_ms(), socket.gethostname()
    with deps.database.begin() as db:
        if abs(moved_ms) <= MOVED_MS:
            clear_alert(db, "clock-moved", machine, clock.now_ms())
            return 0
        why = (
            f"by {moved_ms // 1000} s. Sessions, bills and leases go on by the time before that. Set it "
            "back, or start the machine again when nobody works: it then counts from the new time."
        )
        raise_alert(db, "clock-moved", machine, why, clock.now_ms())
    return 1

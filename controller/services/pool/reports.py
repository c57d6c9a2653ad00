"""What hosts say about desktops that wait: leases for those that are there, an end to those that are not."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from controller.services import locks
from controller.services.deps import Deps
from controller.services.pool import waiting as pool

MS_PER_MINUTE = 60_000
LIST_AGE_MS = 5_000


def leases(deps: Deps, db: Session, host: str, running: set[str], at_ms: int) -> list[dict[str, Any]]:
    """A lease for every desktop of the pool that runs on the host and may go on.

    Args:
        deps: ports.
        db: open transaction.
        host: who reports.
        running: slots whose containers run there; a frozen one counts as running.
        at_ms: the host's clock.
    """
    given = []
    for slot, _ in pool.rows(db):
        if slot.host == host and slot.id in running:
            slot.lease_until_ms = at_ms + deps.settings.sessions.lease_minutes * MS_PER_MINUTE
            db.add(slot)
            given.append(
                {"slot": slot.id, "until_ms": slot.lease_until_ms, "fencing_token": slot.fencing_token}
            )
    return given


def drop_lost(deps: Deps, host: str, slots: list[dict[str, Any]], at_ms: int) -> int:
    """Remove what waits no more: its container is gone, or is another one. Returns how many.

    A claim may take it at the same moment: both hold the placement lock, and a claim's run finds no
    container then and starts one.
    """
    running = {str(s["slot"]): s.get("container_id") for s in slots if s["state"] == "running"}
    with deps.database.begin() as db:
        if not any(_lost(slot, host, running, at_ms) for slot, _ in pool.rows(db)):
            return 0
        locks.placement(db)
        lost = [(slot, warm) for slot, warm in pool.rows(db) if _lost(slot, host, running, at_ms)]
        for slot, warm in lost:
            pool.retire(db, slot, warm, "its container is gone", deps.clock.now_ms())
        return len(lost)


def _lost(slot: Any, host: str, running: dict[str, Any], at_ms: int) -> bool:
    if slot.host != host or slot.state != "warm" or at_ms < (slot.started_at_ms or 0) + LIST_AGE_MS:
        return False
    return slot.id not in running or running[slot.id] not in (None, slot.container_id)

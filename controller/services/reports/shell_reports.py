"""What a host says about its shells, and is told for them: who has logged in, how long the balance lasts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlmodel import Session, col, select, update

from controller.domain.lifecycle import UP
from controller.domain.metering import exhausts_at
from controller.models import GpuSession, Slot
from controller.services.deps import Deps
from controller.services.money import ledger


def note_opened(db: Session, host: str, slots: Iterable[str], now_ms: int) -> None:
    """Remember the first login; the host's own word, so only for slots of this host.

    Args:
        db: open transaction.
        host: who reports.
        slots: those into which somebody has logged in, now or before.
        now_ms: server clock.
    """
    if opened := list(slots):
        here = select(Slot.id).where(Slot.host == host, col(Slot.id).in_(opened))
        first = update(GpuSession).where(
            col(GpuSession.slot_id).in_(here),
            col(GpuSession.kind) == "ssh",
            col(GpuSession.opened_at_ms).is_(None),
        )
        db.exec(first.values(opened_at_ms=now_ms))


def clocks(deps: Deps, db: Session, host: str) -> list[dict[str, Any]]:
    """For each shell of a host that is up: in how many ms its balance is used up, and it ends at the latest.

    Durations, not instants: a host's clock may be another.
    """
    now = deps.clock.now_ms()
    query = (
        select(GpuSession)
        .join(Slot, col(Slot.id) == col(GpuSession.slot_id))
        .where(Slot.host == host, GpuSession.kind == "ssh", col(GpuSession.state).in_(sorted(UP)))
        .order_by(col(GpuSession.id))
    )
    return [_clock(deps, db, row, now) for row in db.exec(query)]


def _clock(deps: Deps, db: Session, row: GpuSession, now_ms: int) -> dict[str, Any]:
    empty = exhausts_at(row.billed_to_ms or now_ms, ledger.balance(db, row.wallet).gpu_ms, row.gpus)
    end = row.grace_until_ms or empty + deps.settings.sessions.grace_minutes * 60_000
    return {
        "slot": row.slot_id,
        "state": row.state,
        "empty_in_ms": max(0, empty - now_ms),
        "ends_in_ms": max(0, end - now_ms),
    }

"""Ending sessions: by their owner, by a clock, or because the container is gone; GPUs follow the stop run."""

from __future__ import annotations

from sqlmodel import Session, col, select, update

from controller.domain import lifecycle
from controller.models import GpuSession, Run, Slot
from controller.services.deps import Deps
from controller.services.money import ledger, metering
from controller.services.runs import orders as runs
from controller.services.sessions import life
from controller.services.sessions.reads import view
from controller.services.sessions.views import SessionView

ENDED_BY_OWNER = "ended by you"


def end(deps: Deps, wallet: str, session_id: str, reason: str = ENDED_BY_OWNER) -> SessionView:
    """End the session, or leave the queue; asking again changes nothing.

    Args:
        deps: ports.
        wallet: the owner.
        session_id: which session.
        reason: what the resume panel says.

    Raises:
        NotYours: no such session of this wallet.
    """
    with deps.database.begin() as db:
        row = life.lock(db, session_id, wallet)
        if row.state in lifecycle.LIVE - {"ending"}:
            now = deps.clock.now_ms()
            # A clock that stepped back must not end a session before its own proof of life.
            begin_end(db, row, max(now, metering.proof_ms(db, row)), reason, now)
        return view(db, row)


def begin_end(db: Session, row: GpuSession, at_ms: int, reason: str, now_ms: int) -> None:
    """The end of a locked live session, billed to `at_ms` at most; the stop run confirms it later.

    Its slot is locked before the books, as `metering.settle` does.
    """
    if row.state == "grace":
        metering.leave_unbilled(db, row, at_ms, "grace")
    life.write(db, row, lifecycle.ending(life.life_of(row), at_ms, reason, now_ms))
    if row.slot_id is not None:
        stop_slot(db, row.slot_id, row.id, now_ms)
    ledger.release_hold(db, row.id, now_ms)
    if row.slot_id is not None:
        metering.settle(db, row, now_ms)


def stop_slot(db: Session, slot_id: str, session_id: str | None, now_ms: int) -> None:
    """Write the intent to remove a slot's container; once. A start that nobody took yet is called off."""
    slot = db.exec(select(Slot).where(Slot.id == slot_id).with_for_update(key_share=True)).one()
    if slot.state in ("stopping", "gone"):
        return
    slot.state = "stopping"
    db.add(slot)
    waiting = update(Run).where(
        col(Run.slot_id) == slot_id, col(Run.playbook) != runs.STOP, col(Run.state) == "queued"
    )
    db.exec(waiting.values(state="failed", error_code="called_off", finished_at_ms=now_ms))
    runs.enqueue(db, runs.STOP, slot.host, now_ms, slot=slot_id, session=session_id)


def finish_end(db: Session, row: GpuSession, now_ms: int) -> None:
    """The container of a locked ending session is confirmed gone: last settlement, then ended.

    Time up to the end instant that could not be billed is written down: `grace` where the balance was
    used up, `gap` where there was no proof of life.
    """
    metering.settle(db, row, now_ms)
    if row.billed_to_ms is not None and row.bill_until_ms is not None:
        proof = min(metering.proof_ms(db, row), row.bill_until_ms)
        metering.leave_unbilled(db, row, proof, "grace")
        metering.leave_unbilled(db, row, row.bill_until_ms, "gap")
    life.write(db, row, lifecycle.ended(life.life_of(row), now_ms))

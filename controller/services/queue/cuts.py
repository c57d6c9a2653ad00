"""Ends the sessions whose guarantee is over and whose GPUs a promised claim needs, each on its own."""

from __future__ import annotations

from sqlmodel import Session, col, select

from controller.models import GpuSession, QueuePlace
from controller.services.deps import Deps
from controller.services.money import metering
from controller.services.sessions import ends, life

GUARANTEE_OVER = "its guarantee was over and a promised request needed the GPUs"
_GOING_ON = ("starting", "running", "grace")


def end_cut(deps: Deps) -> int:
    """End what the last plans have marked. Returns how many sessions."""
    with deps.database.begin() as db:
        marked = _marked(db)
    for session_id in marked:
        with deps.database.begin() as db:
            row = life.lock(db, session_id)
            if row.state in _GOING_ON:
                now = deps.clock.now_ms()
                ends.begin_end(db, row, max(now, metering.proof_ms(db, row)), GUARANTEE_OVER, now)
    return len(marked)


def _marked(db: Session) -> list[str]:
    query = (
        select(GpuSession.id)
        .join(QueuePlace, col(QueuePlace.session_id) == col(GpuSession.id))
        .where(col(QueuePlace.cut_for).is_not(None), col(GpuSession.state).in_(_GOING_ON))
    )
    return list(db.exec(query.order_by(col(GpuSession.id))))

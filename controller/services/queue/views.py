"""What a waiting claim is told beside position and reason, and a session about its guarantee. Reads only."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.queue_guess import probable_start
from controller.models import GpuSession, Promise, QueuePlace
from controller.services.sessions.views import GuaranteeView, QueueView, SessionView

_AHEAD = text(
    """
    SELECT gpus FROM gpu_session WHERE state = 'queued' AND (claimed_at_ms, id) < (:at, :id)
    ORDER BY claimed_at_ms, id
    """
)
# Of claims of the same size among the last thousand: a promise is the wider the more GPUs it is for.
_PAST = text(
    """
    SELECT (p.started_at_ms - p.given_at_ms)::float8 / (p.latest_ms - p.given_at_ms)
    FROM (
        SELECT * FROM promise WHERE started_at_ms IS NOT NULL ORDER BY latest_ms DESC LIMIT 1000
    ) p JOIN gpu_session s ON s.id = p.session_id
    WHERE s.gpus = :gpus ORDER BY p.latest_ms DESC LIMIT 200
    """
)
# The next claim planned on the host of a session: how far a top-up could keep it for sure.
_NEXT = text(
    """
    SELECT min(p.start_ms) FROM queue_place p JOIN gpu_session s ON s.id = p.session_id
    WHERE s.state = 'queued' AND p.host = (SELECT host FROM slot WHERE id = :slot) AND p.start_ms >= :until
    """
)


def told(db: Session, row: GpuSession, view: SessionView, now_ms: int) -> SessionView:
    """The view with what the queue has to say about the session."""
    place = db.get(QueuePlace, row.id) or QueuePlace(session_id=row.id)
    if row.state == "queued":
        return replace(view, queue=_queue(db, row, place, now_ms))
    if row.state in ("starting", "running", "grace") and place.until_ms is not None:
        found = _guarantee(db, row, place)
        ends = [at for at in (view.ends_at_ms, found.until_ms) if at is not None]
        return replace(view, guarantee=found, ends_at_ms=min(ends) if view.ends_at_ms else None)
    return view


def guaranteed_until(db: Session, row: GpuSession) -> int | None:
    """Until when the session's GPUs are its own for sure; None where that is as long as its balance lasts."""
    place = db.get(QueuePlace, row.id)
    if place is None or place.until_ms is None or place.bound_ms is None or place.until_ms >= place.bound_ms:
        return None
    return place.until_ms


def _queue(db: Session, row: GpuSession, place: QueuePlace, now_ms: int) -> QueueView:
    promise = db.get(Promise, row.id)
    ahead = db.connection().execute(_AHEAD, {"at": row.claimed_at_ms, "id": row.id}).scalars()
    probable = place.start_ms
    if promise is not None and place.start_ms is not None:
        past = list(db.connection().execute(_PAST, {"gpus": row.gpus}).scalars())
        probable = probable_start(now_ms, promise.given_at_ms, promise.latest_ms, place.start_ms, past)
    return QueueView(
        latest_start_ms=promise.latest_ms if promise else None,
        promised_at_ms=promise.given_at_ms if promise else None,
        broken_why=promise.broken_why if promise else "",
        probable_start_ms=probable,
        ahead=list(ahead),
        reserved_until_ms=min((int(one["until"]) for one in place.reserved), default=None),
        accept_bounded=place.accept_bounded,
        offer_until_ms=place.offer_until_ms,
    )


def _guarantee(db: Session, row: GpuSession, place: QueuePlace) -> GuaranteeView:
    assert place.until_ms is not None
    following = {"slot": row.slot_id, "until": place.until_ms}
    return GuaranteeView(
        until_ms=guaranteed_until(db, row),
        told_until_ms=place.told_until_ms,
        stay_until_ms=db.connection().execute(_NEXT, following).scalar(),
    )

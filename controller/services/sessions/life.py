"""The one writer of a session's life: locks its row, writes what `domain/lifecycle` decided."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session, select

from controller.domain.lifecycle import Change, Life
from controller.errors import NotYours
from controller.models import GpuSession, SessionEvent

FIELDS = tuple(f.name for f in fields(Life))


def lock(db: Session, session_id: str, wallet: str | None = None) -> GpuSession:
    """The session's row, locked until the transaction ends.

    Args:
        db: open transaction.
        session_id: which session.
        wallet: whose it must be; None for the platform itself.

    Raises:
        NotYours: there is no such session, or it is another wallet's.
    """
    query = select(GpuSession).where(GpuSession.id == session_id).with_for_update(key_share=True)
    row = db.exec(query.execution_options(populate_existing=True)).first()
    if row is None or (wallet is not None and row.wallet != wallet):
        raise NotYours
    return row


def life_of(row: GpuSession | Row[Any]) -> Life:
    """The part of a row that the lifecycle decides on; a plain row has `FIELDS` among its columns."""
    return Life(**{name: getattr(row, name) for name in FIELDS})


def keep(row: GpuSession, life: Life) -> None:
    """Write presence that is no transition (`lifecycle.seen`); state must not differ."""
    assert row.state == life.state
    for name in FIELDS:
        setattr(row, name, getattr(life, name))


def write(db: Session, row: GpuSession, change: Change) -> None:
    """Write one transition and its event row. The row must be locked, or new."""
    for name in FIELDS:
        setattr(row, name, getattr(change.life, name))
    db.add(row)
    db.flush()
    db.add(
        SessionEvent(
            session_id=row.id,
            at_ms=change.at_ms,
            from_state=change.before,
            to_state=change.life.state,
            event=change.event,
            detail=change.detail,
        )
    )

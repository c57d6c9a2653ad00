"""Advisory locks that end with their transaction: who places GPUs, and which worker does a periodic job."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session


def placement(db: Session) -> None:
    """Wait until nobody else hands out GPUs, and keep others out until this transaction ends."""
    db.connection().execute(text("SELECT pg_advisory_xact_lock(hashtext('axonos.placement'))"))


def only_one(db: Session, job: str) -> bool:
    """True if no other process does this periodic job right now; holds until the transaction ends."""
    taken = db.connection().execute(
        text("SELECT pg_try_advisory_xact_lock(hashtext(:job))"), {"job": f"axonos.{job}"}
    )
    return bool(taken.scalar())

"""Slots: what one is called, and the next free one of a host. Writes the intent, starts nothing."""

from __future__ import annotations

import hashlib

from sqlmodel import Session, col, select

from controller.models import Slot
from controller.services.deps import Deps
from controller.settings import Settings

MS_PER_MINUTE = 60_000
REST_MS, MOST_RESTING = 3_600_000, 4
LEASE_SLACK_MS = 10_000  # a guard stops what has outlived its lease within this time


def new_slot(deps: Deps, db: Session, host: str, config_digest: str, image_id: str) -> Slot:
    """A new slot on a host, intended; the caller holds the placement lock."""
    now = deps.clock.now_ms()
    slot = Slot(
        id=slot_id(deps.new_id()),
        host=host,
        state="intended",
        subnet_index=_free_subnet(db, host, now),
        config_digest=config_digest,
        image_id=image_id,
        lease_until_ms=now + lease_ms(deps.settings),
        created_at_ms=now,
    )
    db.add(slot)
    db.flush()
    return slot


def _free_subnet(db: Session, host: str, now: int) -> int:
    """The lowest index of a /28 that no slot of the host uses.

    The last few whose desktops never came up rest for an hour: an engine that was killed while it made a
    network may refuse that bridge from then on, though it shows no such network.
    """
    used = set(db.exec(select(Slot.subnet_index).where(Slot.host == host, Slot.state != "gone")))
    never_up = select(Slot.subnet_index).where(
        Slot.host == host, col(Slot.started_at_ms).is_(None), col(Slot.gone_at_ms) > now - REST_MS
    )
    shunned = used | set(db.exec(never_up.order_by(col(Slot.gone_at_ms).desc()).limit(MOST_RESTING)))
    return next(i for i in range(len(shunned) + 1) if i not in shunned)


def slot_id(identifier: str) -> str:
    """A slot's id, which is its container's name: `s-` and 12 hex digits."""
    return f"s-{hashlib.sha256(identifier.encode()).hexdigest()[:12]}"


def lease_ms(settings: Settings) -> int:
    """How long a slot may live without a word from the controller."""
    return settings.sessions.lease_minutes * MS_PER_MINUTE

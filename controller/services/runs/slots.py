"""Slots: what one is called, and the next free one of a host. Writes the intent, starts nothing."""

from __future__ import annotations

import hashlib

from sqlmodel import Session, select

from controller.models import Slot
from controller.services.deps import Deps
from controller.settings import Settings

MS_PER_MINUTE = 60_000
LEASE_SLACK_MS = 10_000  # a guard stops what has outlived its lease within this time


def new_slot(deps: Deps, db: Session, host: str, config_digest: str, image_id: str) -> Slot:
    """A new slot on a host, intended; the caller holds the placement lock."""
    now = deps.clock.now_ms()
    slot = Slot(
        id=slot_id(deps.new_id()),
        host=host,
        state="intended",
        subnet_index=_free_subnet(db, host),
        config_digest=config_digest,
        image_id=image_id,
        lease_until_ms=now + lease_ms(deps.settings),
        created_at_ms=now,
    )
    db.add(slot)
    db.flush()
    return slot


def _free_subnet(db: Session, host: str) -> int:
    """The lowest index of a /28 that no slot of the host uses."""
    used = set(db.exec(select(Slot.subnet_index).where(Slot.host == host, Slot.state != "gone")))
    return next(i for i in range(len(used) + 1) if i not in used)


def slot_id(identifier: str) -> str:
    """A slot's id, which is its container's name: `s-` and 12 hex digits."""
    return f"s-{hashlib.sha256(identifier.encode()).hexdigest()[:12]}"


def lease_ms(settings: Settings) -> int:
    """How long a slot may live without a word from the controller."""
    return settings.sessions.lease_minutes * MS_PER_MINUTE

"""Desktops that wait for somebody: which there are, which a claim may take, and what taking one does.

A waiting desktop has a slot like any other and leases no GPU: the GPUs it was started on stay free. Filling
is decided in `fill`, its runs end in `runs`, hosts tell of it in `reports`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, col, select, update

from controller.domain.profiles import PROFILES
from controller.models import Slot, WarmDesktop
from controller.services.deps import Deps
from controller.services.hosts import images
from controller.services.runs.requests import digest, warm_config
from controller.services.sessions import ends
from controller.settings import Settings

MS_PER_MINUTE = 60_000


@dataclass(frozen=True)
class Waiting:
    """One desktop of the pool: `filling` until it is painted, then `waiting`."""

    slot: str
    host: str
    profile: str
    state: str
    gpus: list[str]
    memory_mib: int | None
    created_at_ms: int
    painted_at_ms: int | None


def list_waiting(db: Session) -> list[Waiting]:
    """Everything of the pool that nobody has claimed and nobody is removing, by age."""
    return [
        Waiting(
            slot.id,
            slot.host,
            warm.profile,
            "waiting" if slot.state == "warm" else "filling",
            warm.gpus,
            warm.memory_mib,
            warm.created_at_ms,
            warm.painted_at_ms,
        )
        for slot, warm in rows(db)
    ]


def rows(db: Session) -> list[tuple[Slot, WarmDesktop]]:
    """Unclaimed slots of the pool with their desktops, oldest first."""
    query = (
        select(Slot, WarmDesktop)
        .join(WarmDesktop, col(WarmDesktop.slot_id) == col(Slot.id))
        .where(col(Slot.state).in_(("intended", "warm")), col(WarmDesktop.claimed_at_ms).is_(None))
        .order_by(col(WarmDesktop.created_at_ms), col(Slot.id))
        .execution_options(populate_existing=True)
    )
    return list(db.exec(query).all())


def is_pooled(db: Session, slot_id: str) -> WarmDesktop | None:
    """The pool's row of a slot, claimed or not; None for a slot that was made for its session."""
    return db.exec(select(WarmDesktop).where(WarmDesktop.slot_id == slot_id)).first()


def usable(deps: Deps, db: Session) -> dict[str, list[tuple[str, ...]]]:
    """GPUs, by host, on which a desktop waits that a claim may take right now."""
    now = deps.clock.now_ms()
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for slot, warm in rows(db):
        if slot.state == "warm" and stale(db, deps.settings, slot, warm, now) is None:
            found[slot.host].append(tuple(warm.gpus))
    return found


def stale(db: Session, settings: Settings, slot: Slot, warm: WarmDesktop, now_ms: int) -> str | None:
    """Why a desktop must not be given to anybody any more; None while it may."""
    profile, image_id = PROFILES.get(warm.profile), images.host_image(db, settings, slot.host)
    if profile is None or warm.image_id != image_id:
        return "made from another image"
    if slot.config_digest != digest(warm_config(settings, profile.gpus, warm.gpus, image_id)):
        return "made with other settings"
    if now_ms > warm.created_at_ms + settings.pool.max_age_minutes * MS_PER_MINUTE:
        return "older than a waiting desktop may be"
    if slot.state == "warm" and slot.lease_until_ms < now_ms:
        return "its host has not answered for long"
    return None


def take(deps: Deps, db: Session, host: str, gpus: Iterable[str]) -> Slot | None:
    """The slot of a desktop that waits on exactly these GPUs, now its claimer's; None if there is none.

    The caller holds the placement lock, and leases the GPUs.
    """
    wanted, now_ms = list(gpus), deps.clock.now_ms()
    for slot, warm in rows(db):
        if slot.host != host or slot.state != "warm" or warm.gpus != wanted:
            continue
        if stale(db, deps.settings, slot, warm, now_ms) is None:
            claimed = update(Slot).where(col(Slot.id) == slot.id, col(Slot.state) == "warm")
            if db.exec(claimed.values(state="intended")).rowcount:
                warm.claimed_at_ms = now_ms
                db.add(warm)
                db.flush()
                db.refresh(slot)
                return slot
    return None


def make_way(db: Session, host: str, gpus: Iterable[str], now_ms: int) -> int:
    """Remove what waits on GPUs that were just leased to somebody. Returns how many."""
    leased, removed = set(gpus), 0
    for slot, warm in rows(db):
        if slot.host == host and leased & set(warm.gpus):
            retire(db, slot, warm, "its GPUs were claimed", now_ms)
            removed += 1
    return removed


def retire(db: Session, slot: Slot, warm: WarmDesktop, why: str, now_ms: int) -> None:
    """Write the intent to remove a desktop nobody claimed."""
    warm.retired_why = why
    db.add(warm)
    ends.stop_slot(db, slot.id, None, now_ms)

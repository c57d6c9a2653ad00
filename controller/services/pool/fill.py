"""Keeps the pool as large as the operator wants it, without ever standing in a person's way.

One desktop at a time, only while nobody waits and nothing is started or stopped for anybody; its run comes
last, its container gets what CPU time others leave, and what cannot be used any more is removed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session, col, select

from controller.domain.profiles import PROFILES
from controller.models import Gpu, Host, Slot, WarmDesktop
from controller.services import locks
from controller.services.deps import Deps
from controller.services.hosts import images
from controller.services.pool import waiting as pool
from controller.services.runs import orders as runs
from controller.services.runs import slots
from controller.services.runs.requests import digest, warm_config

GUESS_MIB = 256  # what a desktop takes, until one has been measured
REST_MS = 30_000  # a host on which filling failed is left alone for so long
# A run that waits for its next try, after a failure, keeps nobody waiting for the processor.
_BUSY = text(
    "SELECT EXISTS (SELECT 1 FROM gpu_session WHERE state = 'queued')"
    " OR EXISTS (SELECT 1 FROM run WHERE session_id IS NOT NULL"
    " AND (state = 'running' OR (state = 'queued' AND not_before_ms <= :now)))"
)
_RESTING = text(
    "SELECT DISTINCT host FROM run WHERE state = 'failed' AND playbook = :start AND session_id IS NULL"
    " AND slot_id IS NOT NULL AND error_code <> 'called_off' AND finished_at_ms > :since"
)


@dataclass(frozen=True)
class Spot:
    """Where the next desktop of the pool goes."""

    profile: str
    host: str
    gpus: tuple[str, ...]


def fill(deps: Deps) -> int:
    """One step: remove what is stale, then start at most one desktop; the worker calls this all the time.

    Returns:
        how many desktops were removed or started.
    """
    with deps.database.begin() as db:
        if not locks.only_one(db, "pool"):
            return 0
        locks.placement(db)
        removed = _retire(deps, db)
        if removed or _busy(deps, db):
            return removed
        spot = _next(deps, db)
        if spot is None:
            return 0
        _start(deps, db, spot)
        return 1


def _busy(deps: Deps, db: Session) -> bool:
    busy = db.connection().execute(_BUSY, {"now": deps.clock.now_ms()}).scalar()
    return bool(busy) or any(slot.state == "intended" for slot, _ in pool.rows(db))


def _retire(deps: Deps, db: Session) -> int:
    """Remove what nobody may be given, and what is more than the operator wants."""
    now, sizes = deps.clock.now_ms(), deps.settings.pool.sizes
    ready = set(db.exec(select(Host.name).where(Host.state == "ready")))
    usable = set(db.exec(select(Gpu.uuid).where(col(Gpu.state).in_(("free", "checked")))))
    kept: Counter[str] = Counter()
    removed = 0
    for slot, warm in pool.rows(db):
        why = pool.stale(db, deps.settings, slot, warm, now)
        if slot.host not in ready:
            why = "its host takes no sessions"
        elif not usable.issuperset(warm.gpus):
            why = "its GPUs are not free any more"
        elif kept[warm.profile] >= sizes.get(warm.profile, 0):
            why = "more than the pool is to hold"
        if why:
            pool.retire(db, slot, warm, why, now)
            removed += 1
        else:
            kept[warm.profile] += 1
    return removed


def _next(deps: Deps, db: Session) -> Spot | None:
    """The first profile, in the operator's order, that lacks a desktop and finds room for one."""
    there = pool.rows(db)
    count = Counter(warm.profile for _, warm in there)
    for profile, wanted in deps.settings.pool.sizes.items():
        if count[profile] < wanted and (found := _spot(deps, db, profile, there)):
            return found
    return None


def _spot(deps: Deps, db: Session, profile: str, there: list[tuple[Slot, WarmDesktop]]) -> Spot | None:
    """Free GPUs of a host with memory to spare; best those on which nothing waits, never two of a kind."""
    now, wanted = deps.clock.now_ms(), PROFILES[profile].gpus
    since = {"start": runs.START, "since": now - REST_MS}
    resting = set(db.connection().execute(_RESTING, since).scalars())
    for host in db.exec(select(Host).where(Host.state == "ready").order_by(col(Host.name))):
        here = [(slot, warm) for slot, warm in there if slot.host == host.name]
        if host.name in resting or not _has_memory(deps, here):
            continue
        free = db.exec(
            select(Gpu.uuid).where(Gpu.host == host.name, Gpu.state == "free").order_by(col(Gpu.index).desc())
        ).all()
        same = {gpu for _, warm in here if warm.profile == profile for gpu in warm.gpus}
        shared = Counter(gpu for _, warm in here for gpu in warm.gpus)
        chosen = sorted((gpu for gpu in free if gpu not in same), key=lambda gpu: shared[gpu])[:wanted]
        if len(chosen) == wanted:
            return Spot(profile, host.name, tuple(sorted(chosen, key=list(reversed(free)).index)))
    return None


def _has_memory(deps: Deps, here: list[tuple[Slot, WarmDesktop]]) -> bool:
    known = [warm.memory_mib for _, warm in here if warm.memory_mib]
    next_mib = max(known, default=GUESS_MIB)
    return sum(warm.memory_mib or next_mib for _, warm in here) + next_mib <= deps.settings.pool.memory_mib


def _start(deps: Deps, db: Session, spot: Spot) -> None:
    """Write the intent: a slot, what waits in it, and its run. No GPU is leased."""
    now = deps.clock.now_ms()
    image_id = images.host_image(db, deps.settings, spot.host)
    config = warm_config(deps.settings, len(spot.gpus), list(spot.gpus), image_id)
    slot = slots.new_slot(deps, db, spot.host, digest(config), image_id)
    db.add(
        WarmDesktop(
            slot_id=slot.id,
            profile=spot.profile,
            gpus=list(spot.gpus),
            image_id=image_id,
            created_at_ms=now,
        )
    )
    db.flush()
    runs.enqueue(db, runs.START, spot.host, now, slot=slot.id)

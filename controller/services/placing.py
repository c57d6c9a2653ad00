"""Hands free GPUs to queued claims: the plan of `domain/queue`, written as slots, leases and start runs."""

from __future__ import annotations

import hashlib
from collections import defaultdict

from sqlalchemy import func
from sqlmodel import Session, col, select, update

from controller.domain.lifecycle import started
from controller.domain.placement import FreeHost, Place
from controller.domain.queue import Waiting, first_fit
from controller.models import Gpu, GpuSession, Host, Slot
from controller.services import life, locks, pool, runs, ssh_ports, start_failures
from controller.services.deps import Deps
from controller.services.run_requests import desktop_config, digest
from controller.settings import Settings

MS_PER_MINUTE = 60_000


def promote(deps: Deps) -> int:
    """Start every queued claim that can start now; the worker calls this all the time.

    Returns:
        how many claims were started.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        return plan(deps, db)


def plan(deps: Deps, db: Session) -> int:
    """Place queued claims on free GPUs, earliest first, and write down why the others wait.

    The caller holds the placement lock. Returns how many claims were started.
    """
    _free_checked(db)
    claims = _queued(db)
    if not claims:
        return 0
    rests = start_failures.resting(db, [c.id for c in claims], deps.clock.now_ms())
    decided = first_fit([_waiting(c, rests.get(c.id)) for c in claims], _free_hosts(deps, db))
    by_id = {claim.id: claim for claim in claims}
    for claim_id, place in decided.starts:
        _start(deps, db, by_id[claim_id], place)
    for reason in decided.reasons:
        if by_id[reason.id].why != reason.text:
            by_id[reason.id].why = reason.text
            db.add(by_id[reason.id])
    return len(decided.starts)


def largest_host(db: Session) -> int:
    """How many usable GPUs the largest host has; free or not."""
    query = (
        select(func.count())
        .select_from(Gpu)
        .join(Host, col(Host.name) == col(Gpu.host))
        .where(col(Host.state) != "removed", col(Gpu.state) != "quarantined")
        .group_by(col(Gpu.host))
    )
    return max(db.exec(query).all(), default=0)


def _waiting(claim: GpuSession, rest: start_failures.Rest | None) -> Waiting:
    return Waiting(claim.id, claim.gpus, rest.hosts, rest.why) if rest else Waiting(claim.id, claim.gpus)


def _queued(db: Session) -> list[GpuSession]:
    query = (
        select(GpuSession)
        .where(GpuSession.state == "queued")
        .order_by(col(GpuSession.claimed_at_ms), col(GpuSession.id))
        .with_for_update(key_share=True)
    )
    return list(db.exec(query.execution_options(populate_existing=True)))


def _free_hosts(deps: Deps, db: Session) -> list[FreeHost]:
    query = (
        select(col(Gpu.host), col(Gpu.uuid))
        .join(Host, col(Host.name) == col(Gpu.host))
        .where(Host.state == "ready", Gpu.state == "free")
        .order_by(col(Gpu.host), col(Gpu.index))
    )
    free: dict[str, list[str]] = defaultdict(list)
    for host, uuid in db.exec(query):
        free[host].append(uuid)
    warm = pool.usable(deps, db)
    return [FreeHost(host, tuple(uuids), tuple(warm.get(host, ()))) for host, uuids in free.items()]


def _free_checked(db: Session) -> None:
    """The last step of a GPU's way back: checked -> free."""
    db.exec(update(Gpu).where(col(Gpu.state) == "checked").values(state="free", why=None))


def _start(deps: Deps, db: Session, claim: GpuSession, place: Place) -> None:
    """Lease the GPUs to a slot and write the intent to start: nothing has been done yet.

    The slot is that of a desktop which waits on exactly these GPUs, else a new one.
    """
    now = deps.clock.now_ms()
    config = desktop_config(deps.settings, claim, list(place.gpus))
    slot = pool.take(deps, db, place.host, place.gpus) if claim.kind == "desktop" else None
    slot = slot or new_slot(deps, db, place.host, digest(config))
    if claim.kind == "ssh":
        ssh_ports.give(deps, db, slot)
    leased = update(Gpu).where(col(Gpu.uuid).in_(place.gpus), col(Gpu.state) == "free")
    taken = db.exec(
        leased.values(state="leased", slot_id=slot.id, why=None, leased_at_ms=now, dirty_at_ms=None)
    )
    assert taken.rowcount == len(place.gpus), "the placement lock keeps free GPUs free"
    claim.slot_id = slot.id
    life.write(db, claim, started(life.life_of(claim), now))
    runs.enqueue(db, runs.START, place.host, now, slot=slot.id, session=claim.id)
    pool.make_way(db, place.host, place.gpus, now)


def new_slot(deps: Deps, db: Session, host: str, config_digest: str) -> Slot:
    """A new slot on a host, intended; the caller holds the placement lock."""
    now = deps.clock.now_ms()
    slot = Slot(
        id=slot_id(deps.new_id()),
        host=host,
        state="intended",
        subnet_index=_free_subnet(db, host),
        config_digest=config_digest,
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

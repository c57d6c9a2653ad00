"""Hands free GPUs to queued claims, by the operator's policy: slots, leases and start runs.

Policy `promise` is decided in `plan`, `first-fit` in `domain/queue`; both start claims here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlmodel import Session, col, select, update

from controller.domain.lifecycle import started
from controller.domain.placement import Place, place
from controller.domain.queue import Waiting, first_fit
from controller.models import Gpu, GpuSession
from controller.services import locks
from controller.services.deps import Deps
from controller.services.homes import moves as home_moves
from controller.services.homes import shared as home_shared
from controller.services.hosts import images
from controller.services.pool import waiting as pool
from controller.services.queue import cuts as queue_cuts
from controller.services.queue import free_gpus
from controller.services.queue import plan as queue_plan
from controller.services.queue import world as queue_world
from controller.services.queue.world import World
from controller.services.runs import orders as runs
from controller.services.runs import slots
from controller.services.runs.requests import desktop_config, digest
from controller.services.sessions import life, start_failures
from controller.services.shells import ports as ssh_ports


class Watch:
    """What one worker remembers between two looks, so that it plans only when something has happened."""

    def __init__(self) -> None:
        self.fingerprint: int | None = None
        self.wake_at_ms: int | None = None

    def is_quiet(self, world: World) -> bool:
        """Whether a plan now would be the plan before."""
        due = self.wake_at_ms is not None and world.now >= self.wake_at_ms
        return not due and self.fingerprint == world.fingerprint


def promote(deps: Deps, watch: Watch | None = None) -> int:
    """Start every queued claim that can start now; the worker calls this all the time.

    Args:
        deps: ports.
        watch: of this worker; without one a plan is made in any case.

    Returns:
        how many claims were started.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        started = plan(deps, db, watch)
    queue_cuts.end_cut(deps)
    return started


def plan(deps: Deps, db: Session, watch: Watch | None = None) -> int:
    """Place queued claims on free GPUs, and write down what the others wait for.

    The caller holds the placement lock. Returns how many claims were started.
    """
    _free_checked(db)
    if deps.settings.queue.policy == "first-fit":
        return _first_fit(deps, db)
    world = queue_world.read(deps, db)
    if watch is not None and watch.is_quiet(world):
        return 0
    planned = queue_plan.plan_ahead(deps, db, world, partial(_begin, deps, db))
    if watch is not None:
        # Whatever was started or ended changes the world once more: look again.
        watch.fingerprint = None if planned.started or planned.cut else world.fingerprint
        watch.wake_at_ms = planned.wake_at_ms
    return planned.started


def _begin(deps: Deps, db: Session, claim: GpuSession, host: str) -> Place | None:
    """Start a claim on a host of the planner's choice, on the GPUs that fit it best there."""
    free = [one for one in free_gpus.free_hosts(deps, db) if one.name == host]
    found = place(claim.gpus, free)
    if found is not None:
        _start(deps, db, claim, found)
    return found


def _first_fit(deps: Deps, db: Session) -> int:
    """The specification's rule and nothing beyond it: earliest first, nobody blocked."""
    claims = _queued(db)
    if not claims:
        return 0
    ids = [claim.id for claim in claims]
    rests = home_shared.keep_off(deps, db, ids, start_failures.resting(db, ids, deps.clock.now_ms()))
    decided = first_fit([_waiting(c, rests.get(c.id)) for c in claims], free_gpus.free_hosts(deps, db))
    by_id = {claim.id: claim for claim in claims}
    for claim_id, where in decided.starts:
        _start(deps, db, by_id[claim_id], where)
    for reason in decided.reasons:
        if by_id[reason.id].why != reason.text:
            by_id[reason.id].why = reason.text
            db.add(by_id[reason.id])
    return len(decided.starts)


def _waiting(claim: GpuSession, rest: start_failures.Rest | None) -> Waiting:
    waiting = Waiting(claim.id, claim.gpus, model=claim.gpu_model)
    return replace(waiting, avoid=rest.hosts, avoid_why=rest.why) if rest else waiting


def _queued(db: Session) -> list[GpuSession]:
    query = (
        select(GpuSession)
        .where(GpuSession.state == "queued")
        .order_by(col(GpuSession.claimed_at_ms), col(GpuSession.id))
        .with_for_update(key_share=True)
    )
    return list(db.exec(query.execution_options(populate_existing=True)))


def _free_checked(db: Session) -> None:
    """The last step of a GPU's way back: checked -> free."""
    db.exec(update(Gpu).where(col(Gpu.state) == "checked").values(state="free", why=None))


def _start(deps: Deps, db: Session, claim: GpuSession, at: Place) -> None:
    """Lease the GPUs to a slot and write the intent to start: nothing has been done yet.

    The slot is that of a desktop which waits on exactly these GPUs, else a new one.
    """
    now = deps.clock.now_ms()
    image_id = images.host_image(db, deps.settings, at.host)
    config = desktop_config(deps.settings, claim, list(at.gpus), image_id)
    slot = pool.take(deps, db, at.host, at.gpus) if claim.kind == "desktop" else None
    slot = slot or slots.new_slot(deps, db, at.host, digest(config), image_id)
    if claim.kind == "ssh":
        ssh_ports.give(deps, db, slot)
    leased = update(Gpu).where(col(Gpu.uuid).in_(at.gpus), col(Gpu.state) == "free")
    taken = db.exec(
        leased.values(state="leased", slot_id=slot.id, why=None, leased_at_ms=now, dirty_at_ms=None)
    )
    assert taken.rowcount == len(at.gpus), "the placement lock keeps free GPUs free"
    claim.slot_id = slot.id
    life.write(db, claim, started(life.life_of(claim), now))
    home_moves.settle_place(deps, db, claim.wallet, at.host, now, slot=slot.id, session=claim.id)
    runs.enqueue(db, runs.START, at.host, now, slot=slot.id, session=claim.id)
    pool.make_way(db, at.host, at.gpus, now)

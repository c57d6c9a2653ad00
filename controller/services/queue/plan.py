"""Policy `promise`: asks the planner, and writes its decision as starts, promises, places and guarantees.

Whoever calls holds the placement lock. Sessions whose guarantee is over are only marked here: each ends in a
transaction of its own (`cuts`), since ending posts to the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.placement import Place
from controller.domain.planner import Decision, Start, plan
from controller.domain.queue import NO_FREE_GPUS, reserved_text
from controller.models import GpuSession, Promise
from controller.services.deps import Deps
from controller.services.queue import world as queue_world
from controller.services.queue.promises import note_broken
from controller.services.queue.world import Claim, World

Begin = Callable[[GpuSession, str], Place | None]

_KEEP = text(
    """
    INSERT INTO queue_place (session_id, accept_bounded, bound_ms, until_ms)
    SELECT id, false, bound, until
    FROM unnest(CAST(:ids AS text[]), CAST(:bounds AS bigint[]), CAST(:untils AS bigint[]))
         AS n(id, bound, until)
    ON CONFLICT (session_id) DO UPDATE SET bound_ms = excluded.bound_ms, until_ms = excluded.until_ms
    """
)
_CUT = text("UPDATE queue_place SET cut_for = :taker WHERE session_id = :id AND cut_for IS NULL")


@dataclass(frozen=True)
class Planned:
    """How many claims started, how many sessions are to end, and when to plan again if nothing happens."""

    started: int
    cut: int
    wake_at_ms: int | None


def plan_ahead(deps: Deps, db: Session, world: World, begin: Begin) -> Planned:
    """Plan once and write the decision.

    Args:
        deps: ports.
        db: open transaction with the placement lock.
        world: as just read.
        begin: starts a claim on a host; None where that host has not the GPUs after all.

    Returns:
        what came of it.
    """
    decision = plan(
        world.now,
        world.hosts,
        (*world.sessions, *world.leaving),
        world.claims,
        policy=queue_world.policy(deps.settings),
        topped_up=world.topped_up,
    )
    _promise(deps, db, world, decision)
    started = [s for s in decision.starts if _start(db, world, s, begin)]
    gone = {start.claim for start in started}
    for claim_id, claim in world.rows.items():
        if claim_id not in gone:
            _wait(db, decision, claim)
    note_broken(deps, db, world, decision, gone)
    _keep(db, world, decision)
    for session_id, taker in decision.ends.items():
        db.connection().execute(_CUT, {"id": session_id, "taker": taker})
    return Planned(len(started), len(decision.ends), _wake_at(world, decision))


def _promise(deps: Deps, db: Session, world: World, decision: Decision) -> None:
    """Promises are written once; a claim is to start a little earlier, so that its desktop is there then."""
    hold_back = deps.settings.queue.hold_back_s * 1000
    for claim_id, latest in decision.promises.items():
        made = Promise(session_id=claim_id, given_at_ms=world.now, latest_ms=latest + hold_back)
        db.add(made)
    db.flush()


def _start(db: Session, world: World, start: Start, begin: Begin) -> bool:
    claim = world.rows[start.claim]
    if begin(claim.row, start.host) is None:
        return False
    place = claim.place
    place.host = place.start_ms = place.length_ms = place.offer_until_ms = None
    place.reserved = []
    whole = next(c.length for c in world.claims if c.id == start.claim)
    place.bound_ms, place.until_ms = world.now + whole, start.until
    place.told_until_ms = start.until if start.bounded else None
    db.add(place)
    if claim.promise:
        claim.promise.started_at_ms = world.now
        db.add(claim.promise)
    return True


def _wait(db: Session, decision: Decision, claim: Claim) -> None:
    """Where the claim stands in the plan, and why it waits; written only where that has changed."""
    slot, row, place = decision.slots.get(claim.row.id), claim.row, claim.place
    reserved = [
        asdict(one) | {"claims": list(one.claims), "until": _until(decision, one.claims)}
        for one in decision.reserved.get(row.id, ())
    ]
    place.host, place.start_ms, place.length_ms = (
        (slot.host, slot.start, slot.length) if slot else (None, None, None)
    )
    place.offer_until_ms = decision.offers.get(row.id)
    if place.reserved != reserved:
        place.reserved = reserved
    db.add(place)
    why = claim.rest.why if claim.rest else NO_FREE_GPUS
    if reserved and not claim.rest:
        why = reserved_text(min(one["until"] for one in reserved))
    if row.why != why:
        row.why = why
        db.add(row)


def _until(decision: Decision, claims: tuple[str, ...]) -> int:
    """When the first of those claims takes the GPUs that are kept for them."""
    return min(decision.slots[claim].start for claim in claims)


def _keep(db: Session, world: World, decision: Decision) -> None:
    """Remember what each session may count on now."""
    now = {s.id: (s.bound, decision.stays.get(s.id, s.until)) for s in world.sessions}
    changed = {i: kept for i, kept in now.items() if kept != world.known[i] and i not in decision.ends}
    if changed:
        bounds, untils = zip(*changed.values(), strict=True)
        values = {"ids": list(changed), "bounds": list(bounds), "untils": list(untils)}
        db.connection().execute(_KEEP, values)


def _wake_at(world: World, decision: Decision) -> int | None:
    """The next planned start, or the next end of a guarantee."""
    ends = [until for s in world.sessions if (until := decision.stays.get(s.id, s.until)) < s.bound]
    return min([*ends, *([decision.wake_at] if decision.wake_at is not None else [])], default=None)

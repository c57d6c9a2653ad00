"""Promises that cannot be kept for a cause outside: told to the claim's owner, told to the operator, counted.

The planner breaks none by itself; what is left are lost hosts, GPUs out of service, failed starts, and time
in which nothing ran here at all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.planner import Decision
from controller.services.alerts import raise_alert
from controller.services.deps import Deps
from controller.services.queue.world import Claim, World
from controller.services.sessions import start_failures

BROKEN = "promise-broken"
_OUTSIDE = text(
    """
    SELECT (SELECT count(*) FROM host WHERE state = 'lost') AS lost,
           (SELECT count(*) FROM host WHERE state = 'draining') AS draining,
           (SELECT count(*) FROM gpu WHERE state = 'quarantined') AS quarantined
    """
)
_COUNTED = text(
    """
    SELECT count(*) AS given,
           count(*) FILTER (WHERE started_at_ms <= latest_ms AND broken_why = '') AS kept,
           count(*) FILTER (WHERE broken_why <> '') AS broken,
           count(*) FILTER (WHERE started_at_ms > latest_ms AND broken_why = '') AS missed
    FROM promise
    """
)
_CAUSES = text("SELECT broken_why, count(*) FROM promise WHERE broken_why <> '' GROUP BY 1 ORDER BY 1")


@dataclass(frozen=True)
class PromiseCount:
    """Promises so far. `broken` had a cause outside, counted by cause; `missed` had none and must stay 0.

    The rest still waits, or left the queue before its time came.
    """

    given: int
    kept: int
    broken: int
    missed: int
    broken_by_cause: dict[str, int]


def counted(db: Session) -> PromiseCount:
    """How many promises were given, kept and broken."""
    row = db.connection().execute(_COUNTED).one()
    causes = {str(why): int(count) for why, count in db.connection().execute(_CAUSES).all()}
    return PromiseCount(row.given, row.kept, row.broken, row.missed, causes)


def note_broken(deps: Deps, db: Session, world: World, decision: Decision, started: Collection[str]) -> None:
    """Write down which promises cannot be kept as things are planned now, and the cause.

    A claim planned in time again is told so; a promise whose instant has passed stays broken.
    """
    for claim_id, claim in world.rows.items():
        promise = claim.promise
        if promise is None:
            continue
        start = world.now if claim_id in started else _planned(decision, claim_id)
        if start is not None and start <= promise.latest_ms:
            if promise.broken_why and world.now <= promise.latest_ms:
                promise.broken_why = ""
                db.add(promise)
        elif not promise.broken_why:
            promise.broken_why = _cause(db, claim)
            db.add(promise)
            why = f"claim {claim_id}: {promise.broken_why}"
            raise_alert(db, BROKEN, claim_id, why, deps.clock.now_ms())


def _planned(decision: Decision, claim_id: str) -> int | None:
    slot = decision.slots.get(claim_id)
    return slot.start if slot else None


def _cause(db: Session, claim: Claim) -> str:
    outside = db.connection().execute(_OUTSIDE).one()
    if start_failures.count(db, claim.row.id):
        return "its start failed before"
    if outside.lost:
        return "a GPU host was lost"
    if outside.draining:
        return "a GPU host is being emptied for maintenance"
    if outside.quarantined:
        return "GPUs had to be taken out of service"
    return "the platform was interrupted"

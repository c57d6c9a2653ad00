"""The queue's policy `promise`: every waiting claim is told an instant it starts by, and that is kept.

A prepaid balance bounds every session, so a plan can be made that only ever gets better. Pure: the same
function runs in production and in the simulator of `axonos bench queue`. Source: design 5.2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from controller.domain.planner.planning import Planning
from controller.domain.planner.starts import explain, start_all
from controller.domain.planner.stays import extend, let_stay
from controller.domain.planner.words import (
    Decision,
    Host,
    Policy,
    Reserved,
    Running,
    Slot,
    Start,
    Waiting,
)

__all__ = ["Decision", "Host", "Policy", "Reserved", "Running", "Slot", "Start", "Waiting", "plan"]


def plan(
    now: int,
    hosts: Sequence[Host],
    sessions: Iterable[Running],
    claims: Iterable[Waiting],
    *,
    policy: Policy,
    topped_up: Collection[str] = (),
) -> Decision:
    """Decide what starts, stays and ends at this instant, and what is promised to whom.

    Args:
        now: in ms; every event (claim, cancel, start, end, top-up, end of a guarantee, `wake_at`) is a call.
        hosts: that take sessions now.
        sessions: on GPUs; those on other hosts are left alone.
        claims: that wait, with their promise and their slot of the last call.
        policy: the operator's settings.
        topped_up: sessions whose `bound` has just risen.

    Returns:
        the decision; its `slots` and `promises` are to be stored with the claims.
    """
    planning = Planning(now, hosts, sessions, claims, policy)
    promised = {claim.id for claim in planning.waiting.values() if claim.promise is not None}
    over = extend(planning, topped_up)
    start_all(planning)
    let_stay(planning, over)
    explain(planning)
    decision = planning.decision
    decision.slots = planning.slots
    decision.promises = {c: planning.promises[c] for c in planning.slots if c not in promised}
    decision.drained_for = planning.drained.id if planning.drained else None
    decision.wake_at = min((slot.start for slot in planning.slots.values()), default=None)
    return decision

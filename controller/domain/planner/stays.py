"""How long sessions may count on their GPUs: longer after a top-up, and at the end of a guarantee.

A session ends at a guarantee only where no plan keeps every promise otherwise, never merely because a
host is being drained.
"""

from __future__ import annotations

from collections.abc import Collection

from controller.domain.planner.planning import Planning
from controller.domain.planner.words import Running


def extend(planning: Planning, topped_up: Collection[str]) -> list[Running]:
    """Let sessions stay longer where every promise can still be kept.

    Args:
        planning: the call's state.
        topped_up: sessions whose balance has just risen.

    Returns:
        sessions whose guarantee is over and whose GPUs are planned for others; see `let_stay`.
    """
    over = []
    for session in planning.sessions:
        until = planning.until[session.id]
        if session.bound <= until:
            continue
        if until > planning.now:
            if session.id in topped_up:
                _stay(planning, session, session.bound)
        elif not _stay_on(planning, session):
            over.append(session)
    return over


def _stay_on(planning: Planning, session: Running) -> bool:
    """At the end of a guarantee: the whole balance, else a little longer, else to the next planned start."""
    longer = min(session.bound, planning.now + planning.policy.extend_ms)
    return (
        _stay(planning, session, session.bound)
        or _stay(planning, session, longer)
        or _stay_to_next(planning, session)
    )


def let_stay(planning: Planning, over: list[Running]) -> None:
    """Once all starts are known: a session whose GPUs nobody took stays, others end for the taker."""
    for session in over:
        if not _stay_to_next(planning, session):
            planning.decision.ends[session.id] = _taker(planning, session)


def _taker(planning: Planning, session: Running) -> str:
    started = [start.claim for start in planning.decision.starts if start.host == session.host]
    planned = sorted(
        (slot.start, claim) for claim, slot in planning.slots.items() if slot.host == session.host
    )
    return started[-1] if started else planned[0][1]


def _taken_until(planning: Planning, session: Running) -> int:
    return max(planning.until[session.id] + planning.turnaround, planning.now)


def _stay(planning: Planning, session: Running, until: int) -> bool:
    """Whether the session can stay until then with every promise kept; the plan makes room for it if so."""
    start = _taken_until(planning, session)
    length = until + planning.turnaround - start
    if planning.full.room(session.host, start, session.gpus) >= start + length:
        planning.base.take(session.host, start, length, session.gpus)
        planning.full.take(session.host, start, length, session.gpus)
    elif not _make_room(planning, session, start, length):
        return False
    planning.until[session.id] = planning.decision.stays[session.id] = until
    return True


def _make_room(planning: Planning, session: Running, start: int, length: int) -> bool:
    if planning.tries <= 0 or planning.base.room(session.host, start, session.gpus) < start + length:
        return False
    planning.tries -= 1
    base = planning.base.copy()
    base.take(session.host, start, length, session.gpus)
    drained = planning.drained
    if drained and planning.replan(base, [drained, *planning.by_promise()]):
        return True
    planning.drained = None
    if planning.replan(base, planning.by_promise()):
        return True
    planning.drained = drained
    return False


def _stay_to_next(planning: Planning, session: Running) -> bool:
    start = _taken_until(planning, session)
    room = planning.full.room(session.host, start, session.gpus) - planning.turnaround
    until = min(room, session.bound)
    return until > planning.now and until > planning.until[session.id] and _stay(planning, session, until)

"""A picture of the GPUs over time: how many of each host are in use or planned for whom waits. Counts only.

Nobody is named: what is drawn are numbers of GPUs, and the reader's own place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.domain.planner.words import Host, Running, Slot


@dataclass(frozen=True)
class Step:
    """From `from_ms` to the next step: GPUs `in_use` by sessions, `planned` for others, and for `yours`."""

    from_ms: int
    in_use: int
    planned: int
    yours: int


@dataclass(frozen=True)
class HostPicture:
    """One host: its GPUs, and what becomes of them as far as anybody can say now."""

    gpus: int
    steps: tuple[Step, ...]


def picture(
    now: int,
    hosts: Iterable[Host],
    sessions: Iterable[Running],
    places: Iterable[tuple[int, Slot, bool]],
    *,
    horizon_ms: int,
) -> list[HostPicture]:
    """Draw each host from now to the horizon.

    Args:
        now: in ms.
        hosts: that take sessions.
        sessions: on GPUs; each is drawn until it is over at the latest, or until its guarantee.
        places: of waiting claims in the last plan: GPUs, slot, and whether the reader's own.
        horizon_ms: how far to look.

    Returns:
        for each host its steps; the first begins now, and none is the same as the one before it.
    """
    held = [(s.host, now, s.until, s.gpus, "in_use") for s in sessions if s.until > now]
    held += [
        (slot.host, max(slot.start, now), slot.start + slot.length, gpus, "yours" if yours else "planned")
        for gpus, slot, yours in places
    ]
    end = now + horizon_ms
    return [HostPicture(h.gpus, _steps(now, end, [one for one in held if one[0] == h.name])) for h in hosts]


def _steps(now: int, end: int, held: list[tuple[str, int, int, int, str]]) -> tuple[Step, ...]:
    instants = sorted({now, *(t for _, start, until, *_ in held for t in (start, until) if now < t < end)})
    steps: list[Step] = []
    for at in instants:
        count = {"in_use": 0, "planned": 0, "yours": 0}
        for _, start, until, gpus, what in held:
            if start <= at < until:
                count[what] += gpus
        step = Step(at, **count)
        if not steps or (steps[-1].in_use, steps[-1].planned, steps[-1].yours) != tuple(count.values()):
            steps.append(step)
    return tuple(steps)

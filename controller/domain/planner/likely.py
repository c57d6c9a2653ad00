"""When so many GPUs of a host will probably be free: sessions mostly end long before they must."""

from __future__ import annotations

import math
from collections.abc import Iterable

STEPS = 24


def likely_free(free: int, gpus: int, sessions: Iterable[tuple[int, int]]) -> float:
    """How long it will probably take until so many GPUs of a host are free at once, in ms.

    Of the time that a session may still stay it takes a share that is more often small than large: a third on
    average, independent of the others.

    Args:
        free: GPUs that are free now.
        gpus: how many are wanted.
        sessions: on the host: how long each may still stay, in ms, and its GPUs.

    Returns:
        the mean of the time by which all of the sessions that must be over first have ended; infinite where
        the host never has so many GPUs.
    """
    awaited: list[int] = []
    for left, count in sorted(sessions):
        if free >= gpus:
            break
        free += count
        awaited.append(left)
    if free < gpus:
        return math.inf
    longest = max(awaited, default=0)
    instants = [longest * (step + 0.5) / STEPS for step in range(STEPS)]
    return sum(1 - math.prod(_over(at, left) for left in awaited) for at in instants) * longest / STEPS


def _over(at: float, left: int) -> float:
    """How likely a session that may stay for `left` is over by then."""
    return 1.0 if at >= left else 1 - (1 - at / left) ** 2

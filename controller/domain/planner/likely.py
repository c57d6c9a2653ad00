"""When so many GPUs of a host will be free on average: sessions mostly end long before they must."""

from __future__ import annotations

import math
from functools import lru_cache

SHARE = 3  # of what it may stay, a session stays one part in so many on average
STEPS = 24


@lru_cache(maxsize=4096)  # one plan asks again and again
def likely_free(gpus: int, freed: tuple[tuple[int, int], ...]) -> float:
    """How long it will take on average until so many GPUs are free at once, in ms.

    Of the time that a session may still stay it takes a share that is more often small than large, a third on
    average, independent of the others. Whoever must be over first is awaited: an upper estimate where a few
    of many would do.

    Args:
        gpus: how many are wanted beyond those that are free now.
        freed: what the sessions free at the latest: after how many ms, and how many GPUs; soonest first.

    Returns:
        the mean of the time by which all that are awaited have ended; infinite where so many are never free.
    """
    awaited: list[int] = []
    for after, count in freed:
        if gpus <= 0:
            break
        gpus -= count
        awaited.append(after)
    if gpus > 0:
        return math.inf
    longest = max(awaited, default=0)
    instants = [longest * (step + 0.5) / STEPS for step in range(STEPS)]
    return sum(1 - math.prod(_over(at, after) for after in awaited) for at in instants) * longest / STEPS


def _over(at: float, after: int) -> float:
    """How likely a session that may stay for `after` is over by then."""
    return 1.0 if at >= after else 1 - (1 - at / after) ** 2

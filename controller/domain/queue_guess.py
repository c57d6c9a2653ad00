"""When a waiting claim will probably start: from how long others really waited.

A promise is loose by design; this is the second number, and only a guess. Source: sessions.md section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST = 20  # below so many past waits the plan itself is the guess
SURE = 0.9


def probable_start(now: int, given: int, latest: int, planned: int, past: Sequence[float]) -> int:
    """The instant by which nine of ten claims like this one have started, in ms.

    Args:
        now: the instant of asking.
        given: when the promise was given.
        latest: what was promised.
        planned: where the last plan puts the start; never later than that.
        past: of claims that started, the share of the promised wait that they really waited.

    Returns:
        an instant from `now` to `planned`; claims that waited less than this one already tell nothing.
    """
    elapsed = (now - given) / (latest - given)
    longer = sorted(share for share in past if share > elapsed)
    if len(past) < LEAST or not longer:
        return max(now, planned)
    share = longer[math.ceil(SURE * len(longer)) - 1]
    return max(now, min(planned, given + int(share * (latest - given))))

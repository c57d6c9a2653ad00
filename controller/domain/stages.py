"""Where the time of a start went: each stage's milliseconds, so that together they are the whole.

Pure. The stages of a host lie inside `host_ms`, those of the desktop's own programs inside `painted_ms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StartTimes:
    """The instants of one start, in epoch milliseconds; `host` is what the host measured itself."""

    claimed_ms: int
    placed_ms: int
    taken_ms: int
    host_began_ms: int
    ready_ms: int
    told_ms: int
    host: Mapping[str, int]


def stages(at: StartTimes) -> dict[str, int]:
    """Milliseconds of each stage, in order.

    `queue_ms` from the click to GPUs, `take_ms` until a worker took the run, `ansible_ms` until the host's
    program began, `host_ms` until the desktop was painted, `back_ms` until that was written down. A clock of
    the host that is a little off makes one of them shorter and its neighbour longer.
    """
    marks = [at.claimed_ms, at.placed_ms, at.taken_ms, at.host_began_ms, at.ready_ms, at.told_ms]
    for i in range(1, len(marks)):
        marks[i] = max(marks[i], marks[i - 1])
    names = ("queue_ms", "take_ms", "ansible_ms", "host_ms", "back_ms")
    own = {name: marks[i + 1] - marks[i] for i, name in enumerate(names)}
    inside = {name: ms for name, ms in at.host.items() if name not in own}
    return {**own, **inside, "total_ms": marks[-1] - marks[0]}


def percentile(values: Iterable[int], percent: int) -> int:
    """Nearest rank; 0 where there are none."""
    ranked = sorted(values)
    return ranked[max(0, -(-percent * len(ranked) // 100) - 1)] if ranked else 0

"""Which fault hits which step: every pair there is, in an order that the seed gives, in batches of one fault.

Faults take turns, so that a short sample has every one of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from crash_points import POINTS, Point, faults

WAITING = 2  # desktops in the pool
AT_ONCE = 4  # the worker does as many runs at a time


@dataclass(frozen=True)
class Batch:
    """One fault that hits several sessions, each at a step of its own."""

    number: int
    fault: str
    points: tuple[Point, ...]
    seed: str

    def __str__(self) -> str:
        return f"#{self.number} {self.fault} at {', '.join(point.name for point in self.points)}"


def batches(seed: int) -> Iterator[Batch]:
    """Endless; all pairs come once before any comes again. Batch n depends on the seed and n alone."""
    number = 0
    for turn in range(10**6):
        rng = random.Random(f"{seed}:{turn}")
        for fault, points in _grouped(rng):
            yield Batch(number, fault, points, f"{seed}:{number}")
            number += 1


def _grouped(rng: random.Random) -> list[tuple[str, tuple[Point, ...]]]:
    by_fault: dict[str, list[Point]] = {}
    for point in POINTS:
        for fault in faults(point):
            by_fault.setdefault(fault, []).append(point)
    turns: list[list[tuple[str, tuple[Point, ...]]]] = []
    for fault, points in sorted(by_fault.items()):
        rng.shuffle(points)
        mine = [(fault, (point,)) for point in points if point.alone]
        for op, size in (("claim", WAITING), ("", AT_ONCE)):
            together = [p for p in points if not p.alone and (p.op == "claim") == (op == "claim")]
            mine += [(fault, tuple(together[i : i + size])) for i in range(0, len(together), size)]
        rng.shuffle(mine)
        turns.append(mine)
    rng.shuffle(turns)
    return [batch for turn in zip_longest(*turns) for batch in turn if batch]

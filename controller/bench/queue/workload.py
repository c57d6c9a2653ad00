"""People as the simulator makes them: when they come, what they want, how long they stay, what they pay."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

MINUTE_MS = 60_000
PROFILES = ((1, 0.60), (2, 0.22), (4, 0.12), (8, 0.06))
MANY_MAX = ((1, 0.50), (2, 0.20), (4, 0.15), (8, 0.15))


@dataclass(frozen=True, slots=True)
class TopUp:
    """A top-up that pays for `length_ms` more, `at_ms` after the start or, if `absolute`, on the clock."""

    at_ms: int
    length_ms: int
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One claim.

    `use_ms` is how long the person would stay, unknown to the planner; `paid_ms` is how long their balance
    lasts on so many GPUs.
    """

    id: str
    at_ms: int
    gpus: int
    use_ms: int
    paid_ms: int
    top_ups: tuple[TopUp, ...] = ()
    cancel_at_ms: int | None = None


@dataclass(frozen=True)
class Cell:
    """One setting of the simulation: hosts, load, and the people's habits.

    Stays are log-normal, 60 minutes at the median and 8 hours at most; a balance lasts 1 to 4 times the stay.
    """

    name: str
    load: float = 0.95
    hosts: tuple[int, ...] = (8, 8, 8, 8)
    profiles: tuple[tuple[int, float], ...] = PROFILES
    median_min: float = 60
    sigma: float = 1.0
    longest_min: float = 480
    balance: tuple[float, float] = (1, 4)
    rich: bool = False
    top_ups: bool = True
    grace_ms: int = 0
    turnaround_ms: int = 0


CELLS = {
    cell.name: cell
    for cell in (
        Cell("main"),
        Cell("grace", grace_ms=120 * MINUTE_MS, turnaround_ms=30_000),
        Cell("load-0.90", load=0.90),
        Cell("load-0.98", load=0.98),
        Cell("rich", rich=True),
        Cell("8-hosts", hosts=(8,) * 8),
        Cell("no-top-ups", top_ups=False),
        Cell("many-max", profiles=MANY_MAX),
    )
}


def requests(cell: Cell, count: int, seed: int) -> list[Request]:
    """`count` people of a cell, in order of arrival; the same seed gives the same people."""
    draw = random.Random(seed)  # noqa: S311 - people, not keys
    per_minute = cell.load * sum(cell.hosts) / (_mean_gpus(cell) * _mean_stay(cell))
    at, made = 0.0, []
    for number in range(count):
        at += draw.expovariate(per_minute)
        made.append(_request(cell, draw, str(number), at))
    return made


def _request(cell: Cell, draw: random.Random, identifier: str, at: float) -> Request:
    sizes, shares = zip(*cell.profiles, strict=True)
    gpus = draw.choices(sizes, shares)[0]
    use = _stay(cell, draw)
    whole = cell.longest_min if cell.rich else use * draw.uniform(*cell.balance)
    paid, cancel = whole, None
    top_ups: tuple[TopUp, ...] = ()
    if cell.top_ups:
        kind = draw.random()
        if kind < 0.15:
            paid = use * draw.uniform(0.3, 0.9)
            top_ups = (TopUp(_ms(paid * draw.uniform(0.5, 0.95)), _ms(max(whole - paid, 1))),)
        elif kind < 0.20:
            top_ups = (TopUp(_ms(use * draw.uniform(0.1, 0.9)), _ms(whole * draw.uniform(0.25, 1))),)
        if draw.random() < 0.03:
            cancel = _ms(at + draw.expovariate(1 / 120))
    return Request(identifier, _ms(at), gpus, _ms(use), _ms(paid), top_ups, cancel)


def _stay(cell: Cell, draw: random.Random) -> float:
    return max(1.0, min(cell.longest_min, cell.median_min * math.exp(cell.sigma * draw.gauss(0, 1))))


def _mean_stay(cell: Cell) -> float:
    draw = random.Random(1)  # noqa: S311 - people, not keys
    return sum(_stay(cell, draw) for _ in range(100_000)) / 100_000


def _mean_gpus(cell: Cell) -> float:
    return sum(gpus * share for gpus, share in cell.profiles)


def _ms(minutes: float) -> int:
    return round(minutes * MINUTE_MS)

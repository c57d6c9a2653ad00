"""How long one call of the planner takes on a large fleet: 1 000 GPUs and about 500 waiting claims."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from controller.bench.figures import Outcome
from controller.bench.queue.policies import Promise
from controller.bench.queue.schedule import Schedule
from controller.bench.queue.workload import Cell, Request, requests
from controller.bench.queue.world import World
from controller.domain.planner import Policy

FLEET = Cell("fleet", load=1.0, hosts=(8,) * 125)
CROWD = 1_050  # claims of the first second, one each ms: about 500 of them get GPUs
LEAST_WAITING = 450


class _Watched(Promise):
    """The planner, with the number of waiting claims at each call."""

    def __init__(self) -> None:
        super().__init__(Policy())
        self.waiting: list[int] = []

    def decide(self, world: World, topped_up: Sequence[str]) -> None:
        self.waiting.append(len(world.queue))
        super().decide(world, topped_up)


def run(calls: int) -> Outcome:
    """Live with a full fleet and a long queue, and time the calls while it is long.

    Args:
        calls: requests after the crowd; each causes two calls or more.
    """
    policy, schedule = _Watched(), Schedule()
    world = World({f"host-{n}": gpus for n, gpus in enumerate(FLEET.hosts)}, policy, schedule)
    world.run(_people(calls))
    crowded = [
        (ms, waiting)
        for ms, waiting in zip(schedule.plan_ms, policy.waiting, strict=True)
        if waiting >= LEAST_WAITING
    ]
    timed = sorted(ms for ms, _ in crowded)
    figures = {
        "calls": len(timed),
        "waiting_p50": statistics.median_high(waiting for _, waiting in crowded),
        "plan_p50_ms": round(timed[len(timed) // 2], 2),
        "plan_p99_ms": round(timed[math.ceil(0.99 * len(timed)) - 1], 2),
        "events_per_s": round(1000 * len(timed) / sum(timed), 1),
    }
    how = f"{sum(FLEET.hosts)} GPUs on {len(FLEET.hosts)} hosts, at least {LEAST_WAITING} claims waiting"
    return Outcome("queue/fleet", figures, {"plan_p99_ms": ("<=", 200)}, how)


def _people(count: int) -> list[Request]:
    people = requests(FLEET, CROWD + count, 1)
    later = people[CROWD - 1].at_ms - CROWD
    crowd = [replace(one, at_ms=number, cancel_at_ms=None) for number, one in enumerate(people[:CROWD])]
    return crowd + [_earlier(one, later) for one in people[CROWD:]]


def _earlier(one: Request, by_ms: int) -> Request:
    cancel = None if one.cancel_at_ms is None else one.cancel_at_ms - by_ms
    return replace(one, at_ms=one.at_ms - by_ms, cancel_at_ms=cancel)

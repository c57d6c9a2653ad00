"""The policies that are compared: production's planner, its prototype, production's first-fit, strict FIFO.

All of them hand out the same people's GPUs in a simulated world.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.bench.queue.world import World
from controller.domain.placement import FreeHost
from controller.domain.planner import Host, Running, Slot, Waiting, plan
from controller.domain.planner import Policy as Promises
from controller.domain.queue import Waiting as FirstFitClaim
from controller.domain.queue import first_fit

HOUR_MS = 3_600_000


class Promise:
    """Production's planner, policy `promise`; everybody accepts bounded starts unless told otherwise."""

    def __init__(self, promises: Promises, *, accept_bounded: bool = True) -> None:
        """Args: the planner's settings; whether people accept to start until a guarantee."""
        self._promises, self._accept = promises, accept_bounded
        self._given: dict[str, int] = {}
        self._slots: dict[str, Slot] = {}

    def decide(self, world: World, topped_up: Sequence[str]) -> None:
        """Ask the planner, and do what it says."""
        hosts = [Host(name, gpus) for name, gpus in world.hosts.items()]
        sessions, claims = self._sessions(world), self._claims(world)
        began = time.thread_time()
        decision = plan(
            world.now, hosts, sessions, claims, policy=self._promises, topped_up=frozenset(topped_up)
        )
        world.schedule.plan_ms.append((time.thread_time() - began) * 1000)
        for claim, until in decision.stays.items():
            world.keep(claim, until)
        for claim, taker in decision.ends.items():
            world.leave(claim, taker)
        for claim, latest in decision.promises.items():
            world.schedule.promised(claim, world.now, latest)
        for start in decision.starts:
            world.begin(start.claim, start.host, start.until)
        self._given = {c: self._given.get(c) or decision.promises[c] for c in decision.slots}
        self._slots = decision.slots
        world.schedule.reserved(world.now, decision.reserved)
        if decision.wake_at is not None:
            assert decision.wake_at > world.now, "a claim planned for now was not started"
            world.wake_at(decision.wake_at)

    def _sessions(self, world: World) -> list[Running]:
        left = [Running(c, s.host, s.request.gpus, s.until, s.until) for c, s in world.leaving.items()]
        return [Running(c, s.host, s.request.gpus, s.bound, s.until) for c, s in world.seats.items()] + left

    def _claims(self, world: World) -> list[Waiting]:
        return [
            Waiting(
                claim,
                request.gpus,
                request.at_ms,
                world.paid[claim] + world.grace_ms,
                self._given.get(claim),
                self._accept,
                self._slots.get(claim),
            )
            for claim, request in world.queue.items()
        ]


@dataclass(frozen=True)
class _Earliest(Promises):
    """A promise's slack is the same for every size; the host that is planned first is drained."""

    def slack(self, wait_ms: int, gpus: int) -> int:
        """As of a claim of one GPU."""
        del gpus
        return super().slack(wait_ms, 1)

    def drain_wait(self, likely_ms: float, planned_ms: int, *, stays: bool) -> float:
        """By the plan alone, chosen again at each event."""
        del likely_ms, stays
        return planned_ms


PROTOTYPE = _Earliest(
    drain_after_ms=((8, HOUR_MS), (4, 15 * HOUR_MS)),
    firm_after_ms=20 * HOUR_MS,
    hard_after_ms=20 * HOUR_MS,
    ahead_of_drain=0,
)


class Prototype(Promise):
    """The planner under the rules of the policy's prototype.

    An hour of slack for every size; the host that is planned first is drained, for 4 GPUs after 15 hours; a
    drain shuts its host after 20 hours and not before, and is given up where a claim would have to go ahead
    of it.
    """

    def __init__(self, turnaround_ms: int) -> None:
        """Args: how long GPUs take from one session to the next."""
        super().__init__(replace(PROTOTYPE, turnaround_ms=turnaround_ms))


class FirstFit:
    """Production's policy `first-fit`: the specification's queue and nothing beyond it."""

    def decide(self, world: World, topped_up: Sequence[str]) -> None:
        """Start every claim that fits, in order of arrival."""
        del topped_up
        claims = [FirstFitClaim(claim, request.gpus) for claim, request in world.queue.items()]
        hosts = [FreeHost(name, free) for name, free in world.free.items() if free]
        for claim, where in first_fit(claims, hosts).starts if hosts else ():
            world.begin(claim, where.host)


class StrictFifo:
    """Nobody overtakes: the baseline that is unstable at loads the others carry."""

    def decide(self, world: World, topped_up: Sequence[str]) -> None:
        """Start claims in order of arrival until one does not fit."""
        del topped_up
        for claim, request in list(world.queue.items()):
            fitting = [(len(free), name) for name, free in world.free.items() if len(free) >= request.gpus]
            if not fitting:
                return
            world.begin(claim, min(fitting)[1])

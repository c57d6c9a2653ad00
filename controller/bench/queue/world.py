"""The simulated world: people come, top up, cancel and leave; a policy decides who starts and who ends.

The policy sees what production's sees: arrivals, balances and ends, never how long somebody will stay.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from controller.bench.queue.schedule import Schedule, Stay
from controller.bench.queue.workload import Request, TopUp
from controller.domain.placement import FreeHost, place

NEVER = 1 << 62
# Takes an event in. None: nothing came of it; else the sessions it topped up.
Event = Callable[[], Sequence[str] | None]


@dataclass(slots=True, eq=False)
class Seat:
    """A session on GPUs. `bound` is when its balance (and grace) ends it, `until` when the policy may."""

    request: Request
    host: str
    start: int
    bound: int
    until: int
    stay: Stay

    @property
    def leaves(self) -> int:
        """When the person goes, or has to."""
        return min(self.start + self.request.use_ms, self.bound)


class Policy(Protocol):
    """Looks at the world after each event and changes it."""

    def decide(self, world: World, topped_up: Sequence[str]) -> None:
        """Args: the world; sessions whose balance has just risen."""
        ...


@dataclass
class World:
    """Everything at one instant. Times in ms."""

    hosts: dict[str, int]
    policy: Policy
    schedule: Schedule
    grace_ms: int = 0
    turnaround_ms: int = 0
    now: int = 0
    queue: dict[str, Request] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    seats: dict[str, Seat] = field(default_factory=dict)
    leaving: dict[str, Seat] = field(default_factory=dict)
    free: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _events: list[tuple[int, int, Event]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _wakes: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.free = {name: tuple(f"{name}/{i}" for i in range(gpus)) for name, gpus in self.hosts.items()}

    def run(self, requests: Iterable[Request]) -> Schedule:
        """Live through all requests to the last end."""
        for request in requests:
            self._at(request.at_ms, partial(self._arrive, request))
            if request.cancel_at_ms is not None:
                self._at(request.cancel_at_ms, partial(self._cancel, request))
            for top_up in request.top_ups:
                if top_up.absolute:
                    self._at(top_up.at_ms, partial(self._top_up, request, top_up))
        while self._events:
            self.now = self._events[0][0]
            came = [topped_up for topped_up in self._happen() if topped_up is not None]
            if came:
                self.policy.decide(self, [session for topped_up in came for session in topped_up])
        return self.schedule

    def _happen(self) -> Iterator[Sequence[str] | None]:
        """All that happens at this instant, before anybody decides: a session that ends now holds nothing."""
        while self._events and self._events[0][0] == self.now:
            _, _, event = heapq.heappop(self._events)
            yield event()

    def _at(self, instant: int, event: Event) -> None:
        """An event to come; of one instant in the order in which they were told."""
        heapq.heappush(self._events, (instant, next(self._order), event))

    def wake_at(self, instant: int) -> None:
        """The policy is asked again then."""
        if instant not in self._wakes:
            self._wakes.add(instant)
            self._at(instant, self._wake)

    def _wake(self) -> Sequence[str]:
        self._wakes.discard(self.now)
        return ()

    def _arrive(self, request: Request) -> Sequence[str]:
        self.queue[request.id], self.paid[request.id] = request, request.paid_ms
        return ()

    def _cancel(self, request: Request) -> Sequence[str] | None:
        return None if self.queue.pop(request.id, None) is None else ()

    def _top_up(self, request: Request, top_up: TopUp) -> Sequence[str] | None:
        if request.id in self.queue:
            self.paid[request.id] += top_up.length_ms
            return ()
        seat = self.seats.get(request.id)
        if seat is None:
            return None
        seat.bound += top_up.length_ms
        self._expect_end(seat)
        return (request.id,)

    def begin(self, claim: str, host: str, until: int | None = None) -> None:
        """A claim gets GPUs of a host, for its whole balance or until a guarantee ends."""
        request = self.queue.pop(claim)
        found = place(request.gpus, [FreeHost(host, self.free[host])])
        assert found is not None, f"{host} has no {request.gpus} free GPUs for claim {claim}"
        self.free[host] = tuple(gpu for gpu in self.free[host] if gpu not in found.gpus)
        bound = self.now + self.paid.pop(claim) + self.grace_ms
        told = until if until is not None and until < bound else None
        until = NEVER if until is None else until
        stay = self.schedule.stays[claim] = Stay(claim, found.gpus, host, request.at_ms, self.now, told)
        seat = self.seats[claim] = Seat(request, host, self.now, bound, until, stay)
        for top_up in request.top_ups:
            if not top_up.absolute:
                self._at(self.now + top_up.at_ms, partial(self._top_up, request, top_up))
        self._expect_end(seat)

    def keep(self, claim: str, until: int) -> None:
        """A session may count on its GPUs until then."""
        seat = self.seats[claim]
        seat.until = until
        self._expect_end(seat)

    def _expect_end(self, seat: Seat) -> None:
        self._at(max(self.now, min(seat.leaves, seat.until)), partial(self._end, seat))

    def _end(self, seat: Seat) -> Sequence[str] | None:
        """The person leaves, or a guarantee is over and the policy decides."""
        if self.seats.get(seat.request.id) is not seat or self.now < min(seat.leaves, seat.until):
            return None
        if self.now >= seat.leaves:
            self.leave(seat.request.id)
        return ()

    def leave(self, claim: str, cut_for: str | None = None) -> None:
        """A session ends; its GPUs are free after the turnaround."""
        seat = self.seats.pop(claim)
        seat.stay.end_ms, seat.stay.cut_for = self.now, cut_for
        seat.until = self.now
        if not self.turnaround_ms:
            self._give_back(seat)
            return
        self.leaving[claim] = seat
        self._at(self.now + self.turnaround_ms, partial(self._turned_around, seat))

    def _turned_around(self, seat: Seat) -> Sequence[str]:
        del self.leaving[seat.request.id]
        self._give_back(seat)
        return ()

    def _give_back(self, seat: Seat) -> None:
        self.free[seat.host] = tuple(sorted({*self.free[seat.host], *seat.stay.gpus}))

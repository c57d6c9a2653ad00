"""What the planner is told, and what it answers. Instants and lengths are in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from controller.domain.gpu_models import ANY

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Policy:
    """How loose promises are, when a host is drained for a large claim, and what a bounded start must offer.

    `slack_share` of the planned wait and `slack_ms` for each of the claim's GPUs widen a promise: without
    slack every top-up is a conflict, and the more GPUs must come free at once, the more of them touch the
    plan.

    `drain_after_ms` says from which wait on a claim of so many GPUs has a host drained for it: others start
    there only if they are through before its planned start; from `firm_after_ms` on within `firm_share` of
    the time until then, as sessions mostly end long before they must; from `hard_after_ms` on nobody does.
    It is the host where the claim will probably start first; its place only moves to one that takes less than
    `drain_stays_share` of the time. Before a drain is given up for a promise, so many claims are planned
    ahead of it (`ahead_of_drain`).

    A bounded start is offered for `least_guarantee_ms` and `least_guarantee_share` of the paid time at
    least. `extend_ms` is the stretch an expiring guarantee gets where the whole balance does not fit.
    `tries` bounds the work of one call: so many plans are made anew in search of a start or a longer stay.
    `turnaround_ms` is how long GPUs take from one session to the next.
    """

    slack_share: float = 0.5
    slack_ms: int = 60 * MINUTE_MS
    drain_after_ms: tuple[tuple[int, int], ...] = ((8, 60 * MINUTE_MS), (4, 3_000 * MINUTE_MS))
    firm_after_ms: int = 800 * MINUTE_MS
    firm_share: float = 0.4
    hard_after_ms: int = 1_600 * MINUTE_MS
    drain_stays_share: float = 0.6
    ahead_of_drain: int = 6
    least_guarantee_ms: int = 60 * MINUTE_MS
    least_guarantee_share: float = 0.5
    extend_ms: int = 10 * MINUTE_MS
    tries: int = 4
    turnaround_ms: int = 0

    def slack(self, wait_ms: int, gpus: int) -> int:
        """How much later than planned a claim of so many GPUs is promised to start, in ms."""
        return int(self.slack_share * wait_ms) + self.slack_ms * gpus

    def drain_wait(self, likely_ms: float, planned_ms: int, *, stays: bool) -> float:
        """The wait by which the host to be drained is chosen: the shortest one.

        Args:
            likely_ms: how long it will take on average until the host has enough GPUs free.
            planned_ms: how long at most.
            stays: whether the claim's place was on that host in the last plan.
        """
        del planned_ms
        return likely_ms * (self.drain_stays_share if stays else 1)


@dataclass(frozen=True, slots=True)
class Host:
    """A host that takes sessions. GPUs out of service do not count; `warm` sizes have a desktop waiting.

    `model` is its label: claims for another model are not planned there.
    """

    name: str
    gpus: int
    warm: frozenset[int] = frozenset()
    model: str = ANY


@dataclass(frozen=True, slots=True)
class Running:
    """A session on GPUs.

    `bound` is when its balance (and grace) ends it at the latest; until `until` it may count on its GPUs.
    `until` is before `bound` where it started bounded, or topped up since.
    """

    id: str
    host: str
    gpus: int
    bound: int
    until: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A claim's place in a plan: `gpus` of the claim on a host, from `start` for `length`."""

    host: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued claim.

    `length` is what its balance pays for, `promise` the instant it was promised to start by (None for a
    new claim), `slot` where the last plan put it. A bounded start before `accept_until` is not accepted.
    On hosts to `avoid` (they failed it just now) it may not start before `avoid_until`. Where it names a
    `model`, it is planned on hosts with that label only.
    """

    id: str
    gpus: int
    arrived: int
    length: int
    promise: int | None = None
    accept_bounded: bool = False
    slot: Slot | None = None
    accept_until: int = 0
    avoid: frozenset[str] = frozenset()
    avoid_until: int = 0
    model: str = ANY


@dataclass(frozen=True, slots=True)
class Start:
    """A claim that starts now. `bounded`: only until `until`, less than its balance pays for."""

    claim: str
    host: str
    until: int
    bounded: bool


@dataclass(frozen=True, slots=True)
class Reserved:
    """Why a claim waits beside enough free GPUs of a host: others have been promised them."""

    host: str
    kind: Literal["promised", "drain"]
    claims: tuple[str, ...]


@dataclass(slots=True)
class Decision:
    """What happens now, and what is to be remembered for the next call.

    `stays`: sessions that may count on their GPUs until a later instant than before. `ends`: sessions
    whose guarantee is over, with the promised claim that takes their GPUs. `promises`: of new claims,
    written once, never moved later. `offers`: bounded starts that claims could have if they accepted
    them, with the instant they would be guaranteed until. `wake_at`: the next planned start.
    """

    starts: list[Start] = field(default_factory=list)
    stays: dict[str, int] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    promises: dict[str, int] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    reserved: dict[str, tuple[Reserved, ...]] = field(default_factory=dict)
    offers: dict[str, int] = field(default_factory=dict)
    drained_for: str | None = None
    wake_at: int | None = None

"""The queue: FIFO, but a claim that cannot start does not block those behind it that can.

Source: specification, "If GPUs are busy: the queue"; design 5.2 (policy `first-fit`). Pure: the same
function runs in production and in simulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from controller.domain.gpu_models import ANY
from controller.domain.placement import FreeHost, Place, place

NO_FREE_GPUS = "insufficient free GPUs for requested profile"


def reserved_text(until_ms: int) -> str:
    """Why a claim waits beside enough free GPUs; the one deviation from first-fit (design 5.2)."""
    at = datetime.fromtimestamp(until_ms / 1000, UTC)
    return f"GPUs reserved until {at:%H:%M} UTC for an earlier request"


@dataclass(frozen=True)
class Waiting:
    """A queued claim, as the planner sees it. `avoid` are hosts that failed it just now, `avoid_why` how.

    It runs only on hosts with the label `model`, where it names one.
    """

    id: str
    gpus: int
    avoid: frozenset[str] = frozenset()
    avoid_why: str = NO_FREE_GPUS
    model: str = ANY


@dataclass(frozen=True)
class Reason:
    """Why a claim still waits; `position` counts from 1 in order of arrival."""

    id: str
    position: int
    text: str


@dataclass(frozen=True)
class Plan:
    """What happens now: claims that start, with their GPUs, and those that wait, with the reason."""

    starts: tuple[tuple[str, Place], ...]
    reasons: tuple[Reason, ...]


def first_fit(claims: Sequence[Waiting], hosts: Sequence[FreeHost]) -> Plan:
    """Start every claim that fits, in order of arrival.

    Args:
        claims: queued claims, earliest first.
        hosts: hosts that take sessions, with their free GPUs.

    Returns:
        Starts that never share a GPU, and position and reason of everyone else.
    """
    free = {host.name: host for host in hosts}
    starts: list[tuple[str, Place]] = []
    reasons: list[Reason] = []
    for claim in claims:
        allowed = [host for host in free.values() if host.name not in claim.avoid]
        found = place(claim.gpus, allowed, claim.model)
        if found is None:
            fits = place(claim.gpus, list(free.values()), claim.model)
            text = claim.avoid_why if fits else NO_FREE_GPUS
            reasons.append(Reason(claim.id, len(reasons) + 1, text))
            continue
        starts.append((claim.id, found))
        left = tuple(g for g in free[found.host].free if g not in found.gpus)
        free[found.host] = replace(free[found.host], free=left)
    return Plan(tuple(starts), tuple(reasons))

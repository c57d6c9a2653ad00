"""When a session is over at the latest: what makes a plan, and so a promise, possible at all.

Balance, the time a start may take and the whole grace period count inside every bound. Source: design 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.metering import exhausts_at


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a session may take beyond its balance: for its start, and as grace. In ms."""

    start_ms: int
    grace_ms: int

    def length(self, balance_gpu_ms: int, gpus: int) -> int:
        """How long a claim that starts now holds its GPUs at most, in ms."""
        return self.start_ms + exhausts_at(0, balance_gpu_ms, gpus) + self.grace_ms


def ends_by(
    allowance: Allowance,
    *,
    balance_gpu_ms: int,
    gpus: int,
    starting_at_ms: int,
    billed_to_ms: int | None,
    grace_until_ms: int | None,
) -> int:
    """The instant at which a session that holds GPUs is over at the latest, in ms.

    Args:
        allowance: for start and grace.
        balance_gpu_ms: the wallet's whole balance; one session burns it.
        gpus: how many it holds.
        starting_at_ms: when it got them.
        billed_to_ms: up to when it is settled; None until its desktop is ready.
        grace_until_ms: when its grace is over; None while it is billed.
    """
    if grace_until_ms is not None:
        return grace_until_ms
    if billed_to_ms is None:
        return starting_at_ms + allowance.length(balance_gpu_ms, gpus)
    return exhausts_at(billed_to_ms, balance_gpu_ms, gpus) + allowance.grace_ms

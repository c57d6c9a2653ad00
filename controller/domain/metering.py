"""What a stretch of a session costs: whole GPU-milliseconds, exact, each millisecond at most once.

Source: specification, "Usage is billed as wall-clock minutes x GPU count"; design 4.6 and 4.7. Heartbeat,
tick and end all call `settle` on the same mark, `billed_to_ms`; whoever comes second finds nothing left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controller.domain.profiles import GPU_MS_PER_MINUTE

Kind = Literal["used", "gap", "grace"]


@dataclass(frozen=True)
class Window:
    """[from, to) of one session. Only `used` is charged; `gap` had no proof of life, `grace` was free."""

    from_ms: int
    to_ms: int
    gpus: int
    kind: Kind

    @property
    def charge_gpu_ms(self) -> int:
        return (self.to_ms - self.from_ms) * self.gpus if self.kind == "used" else 0


def exhausts_at(billed_to_ms: int, balance_gpu_ms: int, gpus: int) -> int:
    """The instant at which the balance is used up, when `gpus` burn from `billed_to_ms` on.

    Less than one GPU-millisecond per GPU may remain: it does not buy another millisecond.
    """
    return billed_to_ms + max(0, balance_gpu_ms) // gpus


def settle(billed_to_ms: int, until_ms: int, balance_gpu_ms: int, gpus: int) -> Window | None:
    """The stretch to charge now.

    Args:
        billed_to_ms: the mark; everything before it is settled.
        until_ms: how far it may be billed (`lifecycle.billable_until`).
        balance_gpu_ms: the wallet's balance; the window never costs more.
        gpus: GPUs held, which is the burn rate.

    Returns:
        A used window starting at the mark; None when there is nothing to charge, also after the
        clock stepped back.
    """
    to_ms = min(until_ms, exhausts_at(billed_to_ms, balance_gpu_ms, gpus))
    return Window(billed_to_ms, to_ms, gpus, "used") if to_ms > billed_to_ms else None


def has_grace(last_grace_ms: int | None, last_deposit_ms: int | None) -> bool:
    """Whether a wallet gets grace when its balance is used up now.

    Source: design 5.1, grace comes again only after a new deposit of at least the minimum.

    Args:
        last_grace_ms: when its last grace began; None if it never had one.
        last_deposit_ms: when its last deposit was credited; less than the minimum never is.
    """
    return last_grace_ms is None or (last_deposit_ms is not None and last_deposit_ms >= last_grace_ms)


def unbilled(from_ms: int, to_ms: int, gpus: int, kind: Kind) -> Window | None:
    """A stretch that is written down but not charged; None when it is empty."""
    return Window(from_ms, to_ms, gpus, kind) if to_ms > from_ms else None


def proof_of_life(last_ms: int | None, reported_ms: int, now_ms: int) -> int:
    """The last proof of life after a report; it never moves back, and never beyond the server's clock."""
    return max(last_ms or 0, min(reported_ms, now_ms))


def minutes_left(balance_gpu_ms: int, gpus: int) -> int:
    """Whole minutes of wall clock that a balance lasts on `gpus` GPUs."""
    return max(0, balance_gpu_ms) // (gpus * GPU_MS_PER_MINUTE)


def warning_threshold(left_ms: int, thresholds_min: list[int]) -> int | None:
    """The tightest threshold (minutes) that `left_ms` of wall time has reached, if any."""
    reached = [t for t in thresholds_min if left_ms <= t * 60_000]
    return min(reached) if reached else None


@dataclass(frozen=True)
class Ending:
    """What ends a session, as far as it is known: its `balance`, or its `guarantee`."""

    kind: Literal["balance", "guarantee"]
    at_ms: int


def endings(empty_at_ms: int | None, guaranteed_until_ms: int | None) -> list[Ending]:
    """What ends a session, nearest first; each is warned of by itself, since neither helps against the other.

    Args:
        empty_at_ms: when the balance is used up; None while nothing is billed.
        guaranteed_until_ms: until when the GPUs are guaranteed; None where the whole balance counts.
    """
    ends: list[Ending] = []
    if guaranteed_until_ms is not None:
        ends.append(Ending("guarantee", guaranteed_until_ms))
    if empty_at_ms is not None:
        ends.append(Ending("balance", empty_at_ms))
    return sorted(ends, key=lambda end: end.at_ms)

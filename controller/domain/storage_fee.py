"""What a home costs while it lies there: whole GPU-milliseconds, exact, with what is left over kept.

Source: specification, "Storage bills while you're offline"; design 5.4: 0.05 GPU-minute per GB-hour. A GB is
10^9 bytes. Bytes x milliseconds x rate is counted in units of which `UNITS_PER_GPU_MS` make one
GPU-millisecond; less than that stays as the remainder and is charged with the next stretch, never rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

GB = 10**9
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
UNITS_PER_GPU_MS = GB * HOUR_MS
GAP_MS = HOUR_MS  # a home that nobody saw for longer is not charged for that time
SETTLE_LAG_MS = 60_000  # a start that is being written down right now may lie this far back

Kind = Literal["charged", "session", "gap", "away", "floor"]


@dataclass(frozen=True)
class Stretch:
    """[from, to) of a home. Only `charged` ones cost `gpu_ms`; `remainder` is what is left over after it."""

    from_ms: int
    to_ms: int
    kind: Kind
    gpu_ms: int
    remainder: int


@dataclass(frozen=True)
class Mark:
    """Where a home's account stands: settled up to an instant, with a remainder, at a size and a rate.

    `rate` is GPU-milliseconds for a GB-hour. `room_gpu_ms` is how much storage may still take: the balance
    less the floor.
    """

    billed_to_ms: int
    remainder: int
    bytes: int
    rate: int
    room_gpu_ms: int


def settle(mark: Mark, until_ms: int, sessions: Sequence[tuple[int, int]]) -> list[Stretch]:
    """The stretches from the mark on.

    Args:
        mark: everything before it is settled.
        until_ms: how far it may be settled; before the mark (a clock that stepped back) there is nothing.
        sessions: [ready, ended) of the wallet's sessions that are over, in any order; empty where storage is
            billed always.

    Returns:
        stretches that touch, from the mark to `until_ms`, or to the instant at which the room is used up.
    """
    at, remainder, room = mark.billed_to_ms, mark.remainder, max(0, mark.room_gpu_ms)
    found: list[Stretch] = []
    for from_ms, to_ms, kind in _pieces(at, until_ms, sessions):
        if kind == "session":
            found.append(Stretch(from_ms, to_ms, "session", 0, remainder))
            continue
        end_ms = min(to_ms, _full_at(mark, from_ms, remainder, room))
        if end_ms > from_ms:
            gpu_ms, remainder = cost(mark.bytes, end_ms - from_ms, mark.rate, remainder)
            room -= gpu_ms
            found.append(Stretch(from_ms, end_ms, "charged", gpu_ms, remainder))
        if end_ms < to_ms:
            break
    return found


def cost(size: int, length_ms: int, rate: int, remainder: int) -> tuple[int, int]:
    """What so many bytes cost for so long, and what is left over.

    Args:
        size: bytes.
        length_ms: milliseconds.
        rate: GPU-milliseconds for a GB-hour.
        remainder: what was left over before.
    """
    return divmod(remainder + size * length_ms * rate, UNITS_PER_GPU_MS)


def _pieces(
    from_ms: int, until_ms: int, sessions: Iterable[tuple[int, int]]
) -> Iterable[tuple[int, int, Literal["charged", "session"]]]:
    at = from_ms
    for ready_ms, ended_ms in sorted(sessions):
        begin, end = max(at, ready_ms), min(until_ms, ended_ms)
        if end <= begin:
            continue
        if begin > at:
            yield at, begin, "charged"
        yield begin, end, "session"
        at = end
    if until_ms > at:
        yield at, until_ms, "charged"


def _full_at(mark: Mark, from_ms: int, remainder: int, room: int) -> int:
    """The last instant up to which the stretch from `from_ms` costs no more than the room."""
    per_ms = mark.bytes * mark.rate
    if per_ms == 0:
        return 2**62
    return from_ms + ((room + 1) * UNITS_PER_GPU_MS - 1 - remainder) // per_ms


def gpu_ms_per_day(size: int, rate: int) -> int:
    """What a home of so many bytes costs in 24 hours without a session, rounded up."""
    return -(-size * DAY_MS * rate // UNITS_PER_GPU_MS)


def days_left(room_gpu_ms: int, size: int, rate: int) -> int | None:
    """Whole days until so much is used up by storage alone; None where storage costs nothing."""
    per_day = size * DAY_MS * rate
    return None if per_day == 0 else max(0, room_gpu_ms) * UNITS_PER_GPU_MS // per_day

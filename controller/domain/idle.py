"""Whether anything happens at a desktop: input, CPU, GPU and I/O decide together. Pure.

One of the four is enough to be busy, and what could not be measured counts as busy: a training run is never
ended for a quiet mouse, nor anybody for a broken meter. Off unless operator or owner want it, since idle time
is paid for (specification, *Launch a GPU session*).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Decision = Literal["nothing", "notice", "end"]
GAP_MS = 60_000  # measures this far apart prove nothing about the time between them


@dataclass(frozen=True)
class Limits:
    """Up to these a desktop is idle: its clock, panel and programs do a little all the time."""

    cpu_percent: float
    gpu_percent: float
    io_kib_per_s: float


@dataclass(frozen=True)
class Measure:
    """What was seen of one desktop between two instants; None where it could not be measured.

    `cpu_percent` of one core, `gpu_percent` of its busiest GPU, `io_kib_per_s` of disks and network together;
    `input` whether anybody typed, clicked or moved the pointer.
    """

    from_ms: int
    to_ms: int
    input: bool | None
    cpu_percent: float | None
    gpu_percent: float | None
    io_kib_per_s: float | None


@dataclass(frozen=True)
class Idle:
    """What is known: idle from `active_at_ms` (last busy) to `measured_at_ms`; when its owner was told."""

    active_at_ms: int
    measured_at_ms: int
    noticed_at_ms: int | None = None

    @property
    def idle_ms(self) -> int:
        """For how long nothing has happened, as far as that is proven."""
        return max(0, self.measured_at_ms - self.active_at_ms)


def busy_with(measure: Measure, limits: Limits) -> str:
    """What keeps it busy: input, CPU, GPU or I/O, `unknown` for what was not measured; empty when idle."""
    if measure.input:
        return "input"
    for name, found, most in (
        ("CPU", measure.cpu_percent, limits.cpu_percent),
        ("GPU", measure.gpu_percent, limits.gpu_percent),
        ("I/O", measure.io_kib_per_s, limits.io_kib_per_s),
    ):
        if found is not None and found > most:
            return name
    unknown = (measure.input, measure.cpu_percent, measure.gpu_percent, measure.io_kib_per_s)
    return "unknown" if None in unknown else ""


def measured(idle: Idle, measure: Measure, limits: Limits) -> Idle:
    """Take a measure in. One from before the last changes nothing; a gap between two counts as busy."""
    if measure.to_ms <= idle.measured_at_ms:
        return idle
    if busy_with(measure, limits):
        return Idle(measure.to_ms, measure.to_ms)
    if measure.from_ms > idle.measured_at_ms + GAP_MS:
        return Idle(measure.from_ms, measure.to_ms)
    return replace(idle, measured_at_ms=measure.to_ms)


def after_ms(operator_minutes: int, owner_minutes: int) -> int:
    """How long a desktop may be idle: the shorter of what operator and owner want; 0 for ever."""
    wanted = [minutes for minutes in (operator_minutes, owner_minutes) if minutes > 0]
    return min(wanted, default=0) * 60_000


def decide(idle: Idle, after_ms: int, notice_ms: int) -> Decision:
    """What is due.

    Args:
        idle: what is known of the desktop.
        after_ms: how long it may be idle before its owner is told; 0: for ever.
        notice_ms: how long it must stay idle after that before it ends.
    """
    if not after_ms or idle.idle_ms < after_ms:
        return "nothing"
    told = idle.noticed_at_ms
    if told is None or told < idle.active_at_ms:
        return "notice"
    return "end" if idle.measured_at_ms >= told + notice_ms else "nothing"


def told_end_ms(active_at_ms: int | None, noticed_at_ms: int | None, notice_ms: int) -> int | None:
    """When a desktop ends unless something happens there; None while no notice holds."""
    if noticed_at_ms is None or noticed_at_ms < (active_at_ms or 0):
        return None
    return noticed_at_ms + notice_ms

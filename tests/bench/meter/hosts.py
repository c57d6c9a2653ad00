"""Machines with clocks of their own, and hosts as their guards see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from controller.host.steady import HostClock
from meter.oracle import NEVER
from meter.stories import BEGAN_MS, Story


class Machine:
    """True time that passes evenly, and a wall clock that anybody may set."""

    def __init__(self, true_ms: Callable[[], int], up_ms: int) -> None:
        self._true_ms, self._up_ms, self.skew_ms = true_ms, up_ms, 0

    def wall(self) -> int:
        return self._true_ms() + self.skew_ms

    def since_boot(self) -> int:
        return self._true_ms() - BEGAN_MS + self._up_ms


@dataclass
class GuardedHost:
    """One host as its guard sees it; it never reports again where `silent_until` is `NEVER`."""

    name: str
    machine: Machine
    folder: Path
    slots: dict[str, Story] = field(default_factory=dict)
    proofs: list[int] = field(default_factory=list)
    leases: dict[str, int] = field(default_factory=dict)
    silent_until: int = 0

    def clock(self) -> HostClock:
        """As any process of the host would open it, also after a restart of the guard."""
        return HostClock(self.folder / self.name, self.machine.wall, self.machine.since_boot)

    def stops_at(self, story: Story) -> int:
        """When its container stops: it dies, or the guard hears nothing and its lease runs out."""
        dies = NEVER if story.dies_ms is None else BEGAN_MS + story.dies_ms
        return min(dies, self.leases[story.slot])

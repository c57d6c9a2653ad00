"""What a guard sees of its host: containers, and leases whose container is gone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.host import folder
from controller.host.config import HostConfig
from controller.host.engine import Engine
from controller.host.leases import Lease, Leases
from controller.host.names import Slot
from controller.host.probe import Known, containers

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
REPORTED = ("slot", "container_id", "state", "started_at_ms", "finished_at_ms")


@dataclass(frozen=True)
class Sight:
    """One look at the host: its containers by slot, and the leases as they were just before.

    `opened` are shells into which somebody has logged in.
    """

    slots: dict[str, dict[str, Any]]
    leases: dict[str, Lease]
    busy: frozenset[str]
    opened: frozenset[str] = frozenset()

    def report(self) -> list[dict[str, Any]]:
        """The slots as the guard protocol has them.

        A slot without a container is left out while its start or stop is under way: it is not lost.
        """
        seen = [
            {key: one[key] for key in REPORTED} | {"opened": slot in self.opened}
            for slot, one in self.slots.items()
        ]
        lost = self.leases.keys() - self.slots.keys() - self.busy
        nothing = dict.fromkeys(REPORTED)
        return seen + [nothing | {"slot": slot, "state": "missing"} for slot in sorted(lost)]

    def expired(self, now_ms: int) -> list[str]:
        """Slots whose lease has run out, whatever is left of them."""
        return sorted(slot for slot, lease in self.leases.items() if lease.until_ms <= now_ms)

    def unleased(self) -> set[str]:
        """Slots that run without any lease; nobody answers for them."""
        return set(self.slots.keys() - self.leases.keys() - self.busy)

    def nobodys(self, left: set[str], leases: Leases) -> set[str]:
        """Those slots that have neither container nor lease, and that nobody is working on."""
        return {slot for slot in left - self.slots.keys() - self.leases.keys() if not leases.is_locked(slot)}

    def bridges(self, config: HostConfig) -> set[str]:
        """The bridges that leases speak of; one may stand before its network is known to the engine."""
        return {Slot(config, lease.slot).bridge(lease.subnet_index) for lease in self.leases.values()}


def look(config: HostConfig, engine: Engine, known: Known | None = None) -> Sight:
    """Look at the host. Leases first: a start that ends in between then shows its container.

    Args:
        config: the host.
        engine: its Docker engine.
        known: what earlier looks found out about containers that have not changed since; kept up to date.

    Raises:
        HostRefused: the engine could not be asked.
    """
    leases = Leases(config.run_dir)
    held = {lease.slot: lease for lease in leases.all()}
    busy = {slot for slot in held if leases.is_locked(slot)}
    found = {one["slot"]: one for one in containers(config, engine, known) if one["slot"]}
    busy |= {slot for slot in found.keys() - held.keys() if leases.is_locked(slot)}
    opened = {slot for slot in found if folder.was_opened(Slot(config, slot).folder)}
    return Sight(found, held, frozenset(busy), frozenset(opened))


def again(sight: Sight, leases: Leases) -> Sight:
    """The same containers with the leases as they are now."""
    held = {lease.slot: lease for lease in leases.all()}
    busy = {slot for slot in sight.slots.keys() | held.keys() if leases.is_locked(slot)}
    return Sight(sight.slots, held, sight.busy | busy, sight.opened)

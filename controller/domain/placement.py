"""Which GPUs of which host a claim gets, and how a GPU returns to the free ones.

One session stays on one host. Best fit: the host with the fewest free GPUs that suffice, so that large
holes stay for large claims; within a host the lowest indices. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from controller.domain.gpu_models import ANY, suits

GpuState = Literal["free", "leased", "dirty", "checked", "quarantined"]
PATIENCE_MS = 120_000  # how long processes and memory of the last session may linger on a GPU
_NEXT: dict[str, frozenset[str]] = {
    "free": frozenset({"leased", "quarantined"}),
    "leased": frozenset({"dirty"}),
    "dirty": frozenset({"checked", "quarantined"}),
    "checked": frozenset({"free", "quarantined"}),
    "quarantined": frozenset({"checked"}),
}


@dataclass(frozen=True)
class FreeHost:
    """A host that takes sessions, its free GPUs by index, and on which of them desktops wait already.

    `islands` names groups of its GPUs, free or not, that share an NVLink or PCIe switch, where that is known;
    `model` is its label (`gpu_models`).
    """

    name: str
    free: tuple[str, ...]
    warm: tuple[tuple[str, ...], ...] = ()
    islands: tuple[tuple[str, ...], ...] = ()
    model: str = ANY


@dataclass(frozen=True)
class Place:
    """GPUs chosen on one host."""

    host: str
    gpus: tuple[str, ...]


def place(gpus: int, hosts: Sequence[FreeHost], model: str = ANY) -> Place | None:
    """The best-fitting place for `gpus` GPUs of that model, or None when no host has that many free.

    Where a desktop of that size waits comes first; else the fullest island that holds all of them; among
    equals GPUs on which no desktop waits, so that those stay.
    """
    fitting = [host for host in hosts if len(host.free) >= gpus and suits(model, host.model)]
    if not fitting:
        return None
    waiting = [host for host in fitting if _waiting(gpus, host)]
    best = min(waiting or fitting, key=lambda host: (len(host.free), host.name))
    return Place(best.name, _waiting(gpus, best) or _least_disturbing(gpus, best))


def _waiting(gpus: int, host: FreeHost) -> tuple[str, ...] | None:
    """The GPUs of a desktop of that size that waits, all of them free."""
    fitting = [warm for warm in host.warm if len(warm) == gpus and set(warm) <= set(host.free)]
    return fitting[0] if fitting else None


def _least_disturbing(gpus: int, host: FreeHost) -> tuple[str, ...]:
    used = {gpu for warm in host.warm for gpu in warm}
    groups = _free_groups(host)
    fitting = [group for group in groups if len(group) >= gpus]
    # Where no island holds all of them, the fullest islands together: as few as can be.
    wide = sorted(groups, key=len, reverse=True)
    taken = [min(fitting, key=lambda group: (len(group), len(used.intersection(group))))] if fitting else wide
    ordered = [gpu for group in taken for gpu in sorted(group, key=lambda gpu: gpu in used)]
    return tuple(sorted(ordered[:gpus], key=host.free.index))


def _free_groups(host: FreeHost) -> list[list[str]]:
    """The free GPUs of each island, and those of none together; each by index."""
    known = {gpu for island in host.islands for gpu in island}
    islands = [*host.islands, tuple(gpu for gpu in host.free if gpu not in known)]
    return [group for island in islands if (group := [gpu for gpu in host.free if gpu in island])]


def gpu_step(state: str, to: GpuState) -> GpuState:
    """One step of a GPU: free -> leased -> dirty -> checked -> free, or into quarantine.

    Raises:
        ValueError: the step does not exist; a leased GPU never becomes free at once.
    """
    if to not in _NEXT.get(state, frozenset()):
        raise ValueError(f"a GPU does not go from {state} to {to}")
    return to


def after_check(
    *, simulated: bool, healthy: bool | None, why: str = "", waited_ms: int = 0
) -> tuple[GpuState, str | None]:
    """The state of a dirty GPU once its container is confirmed gone, and why if it is not `checked`.

    Args:
        simulated: no device was passed; the container's confirmed absence is the whole check.
        healthy: what the host's check of a real GPU said; None when it could not say, or not yet.
        why: the host's sentence.
        waited_ms: how long the GPU has been dirty.
    """
    if simulated or healthy:
        return "checked", None
    if healthy is None and waited_ms < PATIENCE_MS:
        return "dirty", why or "waiting for a check of this GPU"
    if healthy is None:
        return (
            "quarantined",
            f"not clean after {PATIENCE_MS // 60_000} minutes: {why or 'no check came through'}",
        )
    return "quarantined", why or "the check after the last session failed"

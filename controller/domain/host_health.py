"""What is wrong with a host, from what it says of itself. Sentences for the operator; a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

OLD_MS = 120_000
LEAST_DISK_MIB = 2_048
LEAST_HOMES_PERCENT = 5
LEAST_MEMORY_PERCENT = 5
LOAD_PER_CPU = 4


def problems(
    health: Mapping[str, Any] | None, age_ms: int | None, gpus: Iterable[str], *, shared: bool = False
) -> list[str]:
    """What the operator should look at; nothing where all is well.

    Args:
        health: as the host said it last, None if it never did.
        age_ms: how long ago.
        gpus: UUIDs of the real GPUs that are registered for it; none for simulated ones.
        shared: whether the homes of all hosts lie on one shared file system.

    >>> problems({"engine": "28.0", "homes_mounted": True, "disk_free_mib": 100}, 0, [])
    ['100 MiB are free on its disk']
    """
    if health is None or age_ms is None:
        return ["it has not said yet how it is"]
    found = [f"it has not said how it is for {age_ms // 1000} s"] if age_ms > OLD_MS else []
    if "engine" not in health:
        found.append("its Docker engine does not answer")
    if not health.get("homes_mounted", True):
        found.append("the homes are not mounted")
    if health.get("homes_btrfs", not shared) == shared:
        found.append(
            "its homes lie on its own disk, not on the shared file system"
            if shared
            else "its homes do not lie on btrfs: they cannot be sent to another host"
        )
    if health.get("disk_free_mib", LEAST_DISK_MIB) < LEAST_DISK_MIB:
        found.append(f"{health['disk_free_mib']} MiB are free on its disk")
    if (percent := _percent(health, "homes")) < LEAST_HOMES_PERCENT:
        found.append(f"{percent} % are free where the homes lie")
    if (percent := _percent(health, "memory")) < LEAST_MEMORY_PERCENT:
        found.append(f"{percent} % of its memory are free")
    if health.get("load_1m", 0) > LOAD_PER_CPU * (health.get("cpus") or 1):
        found.append(f"load {health['load_1m']} on {health['cpus']} processors")
    seen = set(health.get("gpus", []))
    found += [f"the driver does not answer for {uuid}" for uuid in sorted(set(gpus) - seen)]
    return found


def _percent(health: Mapping[str, Any], name: str) -> int:
    free, total = health.get(f"{name}_free_mib"), health.get(f"{name}_total_mib")
    return 100 if free is None or not total else int(100 * free // total)

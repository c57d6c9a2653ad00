"""The service that takes the steps of elastic pools: there while a stack has such a pool."""

from __future__ import annotations

from pathlib import Path

from infra.first.source import source_digest
from infra.instance import Instance
from infra.playing import play
from infra.reporting import Report
from infra.scale_loop import elastic_stacks

SERVICE = "scale"
UNITS = Path("/etc/systemd/system")


def keep(instance: Instance, report: Report) -> list[str]:
    """Start it, or stop it; returns what was changed. A machine without the controller has none.

    Raises:
        Fault: its playbook failed.
    """
    wanted = bool(elastic_stacks(instance.state))
    if not instance.config.exists() or not (wanted or _is_set_up(instance)):
        return []
    digest = source_digest(instance.source)
    return play(instance, "scaler", report, scaler__running=wanted, axonos_source_digest=digest)


def _is_set_up(instance: Instance) -> bool:
    prefix = "axonos" if instance.name == "axonos" else f"axonos-{instance.name}"
    places = (
        instance.state / "supervisor" / "programs" / f"{SERVICE}.conf",
        UNITS / f"{prefix}-{SERVICE}.service",
    )
    return any(place.exists() for place in places)

"""Every disk is encrypted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.policy.planned import INSTANCE, VOLUME, Planned, Policy, Violation, staying


def unencrypted(plan: list[Planned], _policy: Policy) -> Iterator[Violation]:
    """Volumes and instances' disks that are not said to be encrypted; an account's default is not trusted."""
    for planned in staying(plan, VOLUME):
        if planned.inputs.get("encrypted") is not True:
            yield Violation("encrypted", planned.name, "the volume is not encrypted")
    for planned in staying(plan, INSTANCE):
        for what, disk in _disks(planned.inputs):
            if disk.get("encrypted") is not True:
                yield Violation("encrypted", planned.name, f"its {what} is not encrypted")


def _disks(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "root disk", inputs.get("rootBlockDevice") or {}
    for disk in inputs.get("ebsBlockDevices") or []:
        yield f"disk {disk.get('deviceName', '')}".strip(), disk

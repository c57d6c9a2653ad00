"""Hosts as an infrastructure stack left them, taken in: new ones are registered, gone ones drained.

Safe to repeat. A host that left its stack is drained, never removed: sessions and homes on it decide when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.errors import BadInput
from controller.services import fleet, hosts
from controller.services.deps import Deps
from controller.services.hosts import GpuSpec

# Finds a host's GPUs where its stack does not know them.
Look = Callable[[str], list[GpuSpec]]
_FACTS = {"name": str, "connection": str, "address": str, "gateway_url": str, "simulated": bool, "gpus": list}


@dataclass(frozen=True)
class Synced:
    """Names of hosts by what happened to them."""

    registered: list[str]
    unchanged: list[str]
    drained: list[str]


def sync(
    deps: Deps, wanted: Iterable[Mapping[str, Any]], former: Iterable[str], look: Look = lambda _: []
) -> Synced:
    """Bring the registered hosts to those of one stack.

    Args:
        deps: ports.
        wanted: the stack's hosts: name, connection, address, gateway_url, simulated, gpus (uuid, model).
        former: names the stack had before.
        look: asks the machine at an address for its GPUs, where the stack names none.

    Raises:
        BadInput: a host is not described as it should be; nothing was changed.
    """
    described = [_checked(host) for host in wanted]
    registered: list[str] = []
    unchanged: list[str] = []
    for host in described:
        gpus = [_gpu(gpu) for gpu in host["gpus"]]
        done = hosts.register(
            deps,
            host["name"],
            connection=host["connection"],
            address=host["address"],
            gateway_url=host["gateway_url"],
            gpus=gpus or look(host["address"]),
            simulated=host["simulated"],
        )
        (registered if done.changed else unchanged).append(host["name"])
    stays = {host["name"] for host in described}
    return Synced(registered, unchanged, _drained(deps, set(former) - stays))


def _drained(deps: Deps, names: Iterable[str]) -> list[str]:
    known = {host.name: host.state for host in hosts.list_hosts(deps)}
    gone = sorted(name for name in names if known.get(name) == "ready")
    for name in gone:
        fleet.drain(deps, name)
    return gone


def _gpu(said: dict[str, Any]) -> GpuSpec:
    island = said.get("island")
    return GpuSpec(
        str(said["uuid"]), str(said.get("model", "unknown")), None if island is None else str(island)
    )


def _checked(host: Mapping[str, Any]) -> dict[str, Any]:
    wrong = [name for name, kind in _FACTS.items() if not isinstance(host.get(name), kind)]
    if wrong:
        raise BadInput(f"A host of the stack lacks {', '.join(wrong)}.", field=wrong[0])
    if any(not isinstance(gpu, dict) or "uuid" not in gpu for gpu in host["gpus"]):
        raise BadInput(f"Each GPU of {host['name']} needs its uuid.", field="gpus")
    return dict(host)

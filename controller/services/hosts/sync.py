"""Hosts as an infrastructure stack left them, taken in: new ones are registered, gone ones drained.

Safe to repeat. A host that left its stack is drained, never removed: sessions and homes on it decide when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.errors import BadInput
from controller.services.deps import Deps
from controller.services.hosts import fleet, image_welcome
from controller.services.hosts import registry as hosts
from controller.services.hosts.images import Archive
from controller.services.hosts.registry import GpuSpec

# Finds a host's GPUs where its stack does not know them.
Look = Callable[[str], list[GpuSpec]]
_FACTS = {"name": str, "connection": str, "address": str, "gateway_url": str, "simulated": bool, "gpus": list}


@dataclass(frozen=True)
class Synced:
    """Names of hosts by what happened to them; `arriving`: not in use until their image is there."""

    registered: list[str]
    unchanged: list[str]
    drained: list[str]
    arriving: list[str]


def sync(
    deps: Deps,
    wanted: Iterable[Mapping[str, Any]],
    former: Iterable[str],
    look: Look = lambda _: [],
    *,
    image: Archive | None = None,
) -> Synced:
    """Bring the registered hosts to those of one stack.

    Args:
        deps: ports.
        wanted: the stack's hosts: name, connection, address, gateway_url, simulated, gpus (uuid, model).
        former: names the stack had before.
        look: asks the machine at an address for its GPUs, where the stack names none.
        image: brought to new hosts, which are taken into use once they have it.

    Raises:
        BadInput: a host is not described as it should be, or no host boots that image; nothing was changed.
    """
    described = [_checked(host) for host in wanted]
    registered: list[str] = []
    unchanged: list[str] = []
    new: list[str] = []
    if image is not None:
        image_welcome.check(deps, image)
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
            waits=image is not None and host["connection"] == "ssh",
        )
        new += [host["name"]] if done.new else []
        (registered if done.changed else unchanged).append(host["name"])
    stays = {host["name"] for host in described}
    arriving = image_welcome.welcome(deps, image, new) if image is not None else []
    return Synced(registered, unchanged, _drained(deps, set(former) - stays), arriving)


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

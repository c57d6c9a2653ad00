"""What a host has of an instance, one entry per slot: from containers, leases, networks, socket folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.host import health, leftovers
from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.instants import parse_instant_ms
from controller.host.leases import Leases
from controller.host.names import LABEL_CONFIG, LABEL_INSTANCE, LABEL_SLOT
from controller.host.words import HostRefused

Known = dict[tuple[str, str], dict[str, Any]]


def probe(config: HostConfig) -> dict[str, Any]:
    """All slots of the instance on this host.

    Returns:
        `slots`, sorted; a lease, network or folder without a container is a slot in state `missing`.
        `health`: how the host is.

    Raises:
        HostRefused: docker_error, timeout or host_unreachable.
    """
    with Engine(timeout_s=5) as engine:
        left, _ = leftovers.find(config, engine)
        slots = containers(config, engine)
    known = {one["slot"] for one in slots}
    leftover = {lease.slot for lease in Leases(config.run_dir).all()} | left
    slots += [_missing(slot) for slot in leftover - known]
    sorted_ = sorted(slots, key=lambda one: str(one["slot"]))
    return {"ok": True, "slots": sorted_, "health": health.look(config)}


def containers(config: HostConfig, engine: Engine, known: Known | None = None) -> list[dict[str, Any]]:
    """The instance's containers, each as a slot.

    `known` spares asking again for those whose id and state were seen before; the gone are dropped from it.
    """
    before, now = known or {}, {}
    chosen = {"label": [f"{LABEL_INSTANCE}={config.instance}"]}
    try:
        found = engine.call("GET", "/containers/json", all=True, filters=chosen)
        for item in found:
            key = (item["Id"], item["State"])
            if one := before.get(key) or _slot(engine, item["Id"]):
                now[key] = one
    except EngineRefused as error:
        raise HostRefused("docker_error", error.message) from error
    if known is not None:
        known.clear()
        known.update(now)
    return [_as_it_is(one) for one in now.values()]


def _as_it_is(one: dict[str, Any]) -> dict[str, Any]:
    """The same, by the kernel's word: the engine learns of a death a little later, and that is no life."""
    pid = one["pid"]
    slot = {key: value for key, value in one.items() if key != "pid"}
    return slot if slot["state"] != "running" or _lives(pid) else slot | {"state": "exited"}


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def _slot(engine: Engine, identifier: str) -> dict[str, Any] | None:
    try:
        info = engine.call("GET", f"/containers/{identifier}/json")
    except EngineRefused as error:
        if error.status == 404:  # gone between list and look
            return None
        raise
    labels, state = info["Config"]["Labels"], info["State"]
    return {
        "slot": labels.get(LABEL_SLOT, ""),
        "state": "running" if state["Running"] else "exited",
        "container_id": info["Id"],
        "started_at_ms": parse_instant_ms(state["StartedAt"]),
        "finished_at_ms": None if state["Running"] else parse_instant_ms(state["FinishedAt"]),
        "config_digest": labels.get(LABEL_CONFIG, ""),
        "pid": state["Pid"],
    }


def _missing(slot: str) -> dict[str, Any]:
    return {
        "slot": slot,
        "state": "missing",
        "container_id": None,
        "started_at_ms": None,
        "finished_at_ms": None,
        "config_digest": "",
    }

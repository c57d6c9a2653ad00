"""Stops one slot: container, network, socket folder, lease. The home stays. Safe to repeat."""

from __future__ import annotations

import time
from typing import Any

from controller.host import folder, gpus, warm
from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.instants import now_ms
from controller.host.leases import Leases
from controller.host.names import Slot
from controller.host.request import StopRequest
from controller.host.words import HostRefused

GONE = 404
REMOVAL_S = 30


def stop(config: HostConfig, request: StopRequest) -> dict[str, Any]:
    """Clear a slot, whatever is left of it, and remember that it is over.

    Returns:
        `changed`, and `stopped_at_ms`: until when the desktop was seen running by this stop; None if it
        ran no more, for then the engine's word is no proof (a reboot makes it say the wrong instant).

    Raises:
        HostRefused: stale_token, docker_error, timeout or host_unreachable.
    """
    leases, slot = Leases(config.run_dir), Slot(config, request.slot)
    with Engine(timeout_s=request.timeout_s + REMOVAL_S) as engine, leases.locked(slot.id):
        if request.fencing_token < leases.newest_token(slot.id):
            raise HostRefused("stale_token", f"slot {slot.id} was taken over since")
        had_lease = leases.read(slot.id) is not None
        changed, alive_at_ms = clear(engine, slot, timeout_s=request.timeout_s)
        leases.bury(slot.id, request.fencing_token)
    checks = gpus.check(config, request.gpus, simulated=request.simulated, since_ms=request.gpus_since_ms)
    return {
        "ok": True,
        "changed": changed or had_lease,
        "stopped_at_ms": alive_at_ms,
        "gpu_checks": checks,
    }


def clear(engine: Engine, slot: Slot, *, timeout_s: int) -> tuple[bool, int | None]:
    """Remove everything of the slot but lease and home; the caller holds the slot's lock.

    Returns:
        Whether anything was there; when the container was last seen running, in epoch milliseconds.
    """
    alive_at_ms = _end_container(engine, slot, timeout_s)
    removed = [
        _remove(engine, f"/containers/{slot.container}", force=True, v=True),
        _remove(engine, f"/networks/{slot.network}"),
        folder.remove(slot.folder),
        warm.remove_place(slot),
    ]
    return any(removed), alive_at_ms


def _end_container(engine: Engine, slot: Slot, timeout_s: int) -> int | None:
    path = f"/containers/{slot.container}"
    try:
        looked_at_ms = now_ms()
        running = engine.call("GET", f"{path}/json")["State"]["Running"]
        engine.call("POST", f"{path}/stop", t=timeout_s)
    except EngineRefused as error:
        if error.status == GONE:
            return None
        raise HostRefused("docker_error", error.message) from error
    return looked_at_ms if running else None


def _remove(engine: Engine, path: str, **query: Any) -> bool:
    """Delete until the engine knows it no more: a removal may already be under way, an endpoint linger."""
    removed, give_up = False, time.monotonic() + REMOVAL_S
    while True:
        try:
            engine.call("DELETE", path, **query)
        except EngineRefused as error:
            if error.status == GONE:
                return removed
            if time.monotonic() > give_up:
                raise HostRefused("docker_error", error.message) from error
            time.sleep(0.05)
        else:
            return True
        removed = True

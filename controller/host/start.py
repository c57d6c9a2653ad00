"""Starts one desktop: lease, walls, network, home, container, and then waits until it is painted.

Idempotent: a running container of the same slot and config is left alone. On failure everything that was
made is removed again, except the home, which belongs to the person.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.host import container, firewall, folder, homes
from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.instants import now_ms, parse_instant_ms
from controller.host.leases import Lease, Leases
from controller.host.names import LABEL_CONFIG, Slot
from controller.host.request import StartRequest
from controller.host.stop import clear
from controller.host.words import HostRefused

POLL_S = 0.004
ALIVE_EVERY = 50


@dataclass
class _Start:
    config: HostConfig
    request: StartRequest
    engine: Engine
    leases: Leases
    slot: Slot
    stages: dict[str, int] = field(default_factory=dict)

    def timed(self, stage: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            return work()
        finally:
            self.stages[stage] = round((time.monotonic() - began) * 1000)


def start(config: HostConfig, request: StartRequest) -> dict[str, Any]:
    """Start a slot's desktop and wait for it. A failure never ends a desktop that ran before.

    Returns:
        The answer of the contract: ids, instants in epoch milliseconds, stages in milliseconds.

    Raises:
        HostRefused: with the word of the failure; nothing is left behind then.
    """
    engine = Engine(timeout_s=request.start_timeout_s)
    run = _Start(config, request, engine, Leases(config.run_dir), Slot(config, request.slot))
    deadline = time.monotonic() + request.start_timeout_s
    with run.leases.locked(request.slot):
        found = _existing(run)
        _claim(run)
        try:
            identifier = found or _make(run)
        except BaseException:
            _take_back(run)
            raise
    try:
        painted = _wait_painted(run, deadline)
        share = container.cpu_share(request, os.cpu_count() or 1)
        _asked(run.engine, "POST", f"/containers/{identifier}/update", share)
    except BaseException:
        with run.leases.locked(request.slot):
            made_here = found is None
            if made_here and run.leases.stopped_token(request.slot) < request.fencing_token:
                _take_back(run)
        raise
    return {
        "ok": True,
        "changed": found is None,
        "container_id": identifier,
        "started_at_ms": painted["started_at_ms"],
        "ready_at_ms": painted["ready_at_ms"],
        "stages": run.stages,
    }


def _existing(run: _Start) -> str | None:
    """The id of a running container of this very config; other leavings of the slot are cleared."""
    info = _inspect(run)
    if info is None:
        return None
    if info["Config"]["Labels"].get(LABEL_CONFIG) != run.request.config_digest:
        raise HostRefused("config_conflict", f"slot {run.slot.id} runs another config")
    if info["State"]["Running"]:
        return str(info["Id"])
    _check_token(run)
    clear(run.engine, run.slot, timeout_s=0)
    return None


def _inspect(run: _Start) -> dict[str, Any] | None:
    try:
        info: dict[str, Any] = run.engine.call("GET", f"/containers/{run.slot.container}/json")
    except EngineRefused as error:
        if error.status == 404:
            return None
        raise HostRefused("docker_error", error.message) from error
    return info


def _check_token(run: _Start) -> None:
    token, slot = run.request.fencing_token, run.slot.id
    if token < run.leases.newest_token(slot) or token <= run.leases.stopped_token(slot):
        raise HostRefused("stale_token", f"slot {slot} was taken over or stopped since")


def _claim(run: _Start) -> None:
    """Write the lease, unless another slot of this host has the home or a GPU."""
    request = run.request
    with run.leases.changing():
        _check_token(run)
        for other in run.leases.all():
            if other.slot == request.slot:
                continue
            if other.home == request.home:
                raise HostRefused("volume_busy", f"the home is in use by slot {other.slot}")
            if set(other.gpus) & set(request.gpus):
                raise HostRefused("gpu_busy", f"slot {other.slot} holds a GPU of this request")
        run.leases.write(
            Lease(
                slot=request.slot,
                session=request.session,
                generation=request.generation,
                fencing_token=request.fencing_token,
                until_ms=request.lease_until_ms,
                config_digest=request.config_digest,
                subnet_index=request.subnet_index,
                home=request.home,
                gpus=request.gpus,
            )
        )


def _make(run: _Start) -> str:
    """Walls and network beside home and container; all have to stand before the container starts."""
    beside = [
        _Beside(lambda: firewall.load(run.config.instance)),
        _Beside(lambda: run.timed("network_ms", lambda: _network(run))),
    ]
    try:
        home = run.timed("home_ms", lambda: _home(run))
        folder.make(run.config, run.slot.folder)
        identifier = str(run.timed("create_ms", lambda: _create(run, home)))
    finally:
        errors = [error for one in beside if (error := one.result()) is not None]
    if errors:
        raise errors[0]
    run.timed("start_ms", lambda: _asked(run.engine, "POST", f"/containers/{identifier}/start"))
    return identifier


class _Beside(threading.Thread):
    """A step that runs beside others; its error waits for whoever asks."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 (raised again by the asking thread)
            self._error = error

    def result(self) -> Exception | None:
        self.join()
        return self._error


def _network(run: _Start) -> None:
    engine = Engine(timeout_s=run.request.start_timeout_s)
    wanted = container.network(run.slot, run.request)
    try:
        engine.call("POST", "/networks/create", wanted)
    except EngineRefused as error:
        if error.status != 409:
            raise HostRefused("docker_error", error.message) from error
        _asked(engine, "DELETE", f"/networks/{run.slot.network}")
        _asked(engine, "POST", "/networks/create", wanted)


def _home(run: _Start) -> Any:
    home = homes.ensure(run.config, run.request.home)
    if run.request.fresh_start:
        homes.set_settings_aside(home, run.config.session_uid)
    return home


def _create(run: _Start, home: Any) -> str:
    body = container.container(run.slot, run.request, home, api_version=run.engine.api_version)
    return str(_asked(run.engine, "POST", "/containers/create", body, name=run.slot.container)["Id"])


def _asked(engine: Engine, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """A call whose refusal is one of the contract's words."""
    try:
        return engine.call(method, path, body, **query)
    except EngineRefused as error:
        text = error.message.lower()
        if "no such image" in text:
            raise HostRefused("image_missing", error.message) from error
        if "device driver" in text or "cdi device" in text or "nvidia-container-cli" in text:
            raise HostRefused("gpu_busy", error.message) from error
        raise HostRefused("docker_error", error.message) from error


def _wait_painted(run: _Start, deadline: float) -> dict[str, int]:
    began = time.monotonic()
    polls = 0
    while True:
        if "x_ms" not in run.stages and folder.has_socket(run.config, run.slot.folder):
            run.stages["x_ms"] = round((time.monotonic() - began) * 1000)
        if "x_ms" in run.stages and folder.read_ready(run.config, run.slot.folder) is not None:
            break
        if polls % ALIVE_EVERY == 0:
            _still_running(run)
        if time.monotonic() > deadline:
            raise HostRefused("not_painted", f"no desktop after {run.request.start_timeout_s} s")
        polls += 1
        time.sleep(POLL_S)
    ready_at_ms = now_ms()
    run.stages["painted_ms"] = round((time.monotonic() - began) * 1000)
    return {"ready_at_ms": ready_at_ms, "started_at_ms": _still_running(run)}


def _still_running(run: _Start) -> int:
    """The container's start in epoch milliseconds."""
    info = _inspect(run)
    if run.leases.stopped_token(run.slot.id) >= run.request.fencing_token:
        raise HostRefused("stale_token", "the slot was stopped while it started")
    if info is None or not info["State"]["Running"]:
        code = None if info is None else info["State"]["ExitCode"]
        raise HostRefused("not_painted", f"the desktop ended before it was painted, exit status {code}")
    return parse_instant_ms(info["State"]["StartedAt"]) or now_ms()


def _take_back(run: _Start) -> None:
    clear(run.engine, run.slot, timeout_s=2)
    run.leases.forget(run.slot.id)

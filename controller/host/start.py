"""Starts one session: lease, walls, network, home, container, then waits: painted, or answering over SSH.

Idempotent: a running container of the same slot and config is left alone. On failure everything that was
made is removed again, except the home, which belongs to the person.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from controller.host import container, firewall, folder, homes, hostkeys, shell, warm
from controller.host.attempt import Start, asked, inspect
from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.leases import Lease, Leases
from controller.host.names import LABEL_CONFIG, Slot
from controller.host.paint import wait_painted
from controller.host.request import StartRequest
from controller.host.steady import HostClock
from controller.host.stop import clear
from controller.host.words import HostRefused


def start(config: HostConfig, request: StartRequest) -> dict[str, Any]:
    """Start a slot's session and wait for it. A failure never ends one that ran before.

    Returns:
        The answer of the contract: ids, instants in epoch milliseconds, stages in milliseconds.

    Raises:
        HostRefused: with the word of the failure; nothing is left behind then.
    """
    began_at_ms = HostClock(config.run_dir).now_ms()
    engine = Engine(timeout_s=request.start_timeout_s)
    run = Start(config, request, engine, Leases(config.run_dir), Slot(config, request.slot))
    deadline = time.monotonic() + request.start_timeout_s
    with run.leases.locked(request.slot):
        found = _existing(run)
        _claim(run)
        try:
            if found:
                _know_host_key(run)
            identifier = str(found["Id"]) if found else _make(run)
            waited = bool(found and request.home and warm.is_place_of(found))
            if waited:
                _hand_over(run, identifier, int(found["State"]["Pid"]) if found else 0)
        except BaseException:
            _take_back(run)
            raise
    try:
        ready = _wait(run, deadline)
        memory_mib = None if waited else _settle(run, identifier)
    except BaseException:
        with run.leases.locked(request.slot):
            lease = run.leases.read(request.slot)
            still_ours = lease is not None and lease.fencing_token == request.fencing_token
            if found is None and still_ours:
                _take_back(run)
        raise
    return {
        "ok": True,
        "changed": found is None,
        "container_id": identifier,
        **ready,
        "stages": run.stages,
        "began_at_ms": began_at_ms,
        "memory_mib": memory_mib,
        "warm": waited,
        **({"host_key": run.host_key.public} if run.host_key else {}),
    }


def _wait(run: Start, deadline: float) -> dict[str, int]:
    """When it was ready, and when its container started."""
    if run.host_key is None:
        return wait_painted(run, deadline)
    return shell.wait_answering(run, deadline, run.host_key)


def _settle(run: Start, identifier: str) -> int | None:
    """A painted desktop gets its share of the CPUs; one that waits is frozen, and its memory counted."""
    if run.request.waits:
        return int(run.timed("freeze_ms", lambda: warm.freeze(run)))
    _share(run, identifier)
    return None


def _share(run: Start, identifier: str) -> None:
    share = container.cpu_share(run.request, os.cpu_count() or 1)
    run.timed("share_ms", lambda: asked(run.engine, "POST", f"/containers/{identifier}/update", share))


def _hand_over(run: Start, identifier: str, first: int) -> None:
    """A desktop that waits becomes somebody's: its share of the CPUs and the home first, then it goes on."""
    home = run.timed("home_ms", lambda: _home(run))
    _share(run, identifier)
    run.timed("mount_ms", lambda: warm.give_home(run.slot, home))
    run.timed("thaw_ms", lambda: warm.thaw(run, first))


def _existing(run: Start) -> dict[str, Any] | None:
    """The running container of this very config; other leavings of the slot are cleared."""
    info = inspect(run)
    if info is None:
        return None
    if info["Config"]["Labels"].get(LABEL_CONFIG) != run.request.config_digest:
        raise HostRefused("config_conflict", f"slot {run.slot.id} runs another config")
    if info["State"]["Running"]:
        return info
    _check_token(run)
    clear(run.engine, run.slot, timeout_s=0)
    return None


def _check_token(run: Start) -> None:
    token, slot = run.request.fencing_token, run.slot.id
    if token < run.leases.newest_token(slot) or token <= run.leases.stopped_token(slot):
        raise HostRefused("stale_token", f"slot {slot} was taken over or stopped since")
    if run.request.lease_until_ms <= HostClock(run.config.run_dir).now_ms():
        raise HostRefused("stale_token", f"slot {slot}: the request's lease has run out on its way")


def _claim(run: Start) -> None:
    """Write the lease, unless another slot of this host has the home or a GPU."""
    request = run.request
    with run.leases.changing():
        _check_token(run)
        for other in run.leases.all():
            if other.slot == request.slot:
                continue
            if request.home and other.home == request.home:
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
                gpus=() if request.waits else request.gpus,  # who waits holds nothing
            )
        )


def _make(run: Start) -> str:
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
    run.timed("start_ms", lambda: asked(run.engine, "POST", f"/containers/{identifier}/start"))
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


def _network(run: Start) -> None:
    engine = Engine(timeout_s=run.request.start_timeout_s)
    wanted = container.network(run.slot, run.request)
    try:
        engine.call("POST", "/networks/create", wanted)
    except EngineRefused as error:
        if error.status != 409:
            raise HostRefused("docker_error", error.message) from error
        asked(engine, "DELETE", f"/networks/{run.slot.network}")
        asked(engine, "POST", "/networks/create", wanted)


def _home(run: Start) -> Any:
    if run.request.waits:
        warm.check_room(run.request.reserve_mib)
        return warm.make_place(run.config, run.slot)
    asked_for = run.request
    home = homes.ensure(run.config, asked_for.home, asked_for.home_generation, asked_for.home_base)
    _know_host_key(run)
    if run.request.fresh_start and not warm.has_home(run.slot, home):
        homes.set_settings_aside(home, run.config.session_uid)
    return home


def _know_host_key(run: Start) -> None:
    """A shell answers with its home's key; a desktop has none."""
    if run.request.kind == "ssh":
        run.host_key = hostkeys.ensure(run.config, run.request.home)


def _create(run: Start, home: Any) -> str:
    body = container.container(
        run.slot, run.request, home, api_version=run.engine.api_version, host_key=run.host_key
    )
    return str(asked(run.engine, "POST", "/containers/create", body, name=run.slot.container)["Id"])


def _take_back(run: Start) -> None:
    clear(run.engine, run.slot, timeout_s=2)
    run.leases.forget(run.slot.id)

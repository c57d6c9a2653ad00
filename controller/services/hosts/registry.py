"""GPU hosts and their GPUs as the operator registers and sees them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session, col, select

from controller.domain import host_health
from controller.domain.placement import gpu_step
from controller.errors import BadInput, NotYours, WrongState
from controller.models import Gpu, Host
from controller.services import alerts, locks
from controller.services.deps import Deps
from controller.services.hosts import gpu_hygiene
from controller.services.pool import waiting as pool

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_GONE = "no longer reported by its host"


@dataclass(frozen=True)
class GpuSpec:
    """A GPU as its host names it; GPUs with one `island` share an NVLink or a PCIe switch."""

    uuid: str
    model: str
    island: str | None = None


def labelled(gpus: Sequence[GpuSpec], model: str | None) -> list[GpuSpec]:
    """The GPUs under the operator's own name for their model; as they are where there is none."""
    return [replace(gpu, model=model) for gpu in gpus] if model else list(gpus)


@dataclass(frozen=True)
class GpuView:
    """One GPU; `why` says why it is dirty or quarantined."""

    uuid: str
    index: int
    model: str
    state: str
    slot: str | None
    why: str | None
    island: str | None


@dataclass(frozen=True)
class HostView:
    """A host with its GPUs, by index; `problems` are sentences on its health, none where all is well."""

    name: str
    address: str
    connection: str
    state: str
    simulated: bool
    gateway_url: str
    last_report_at_ms: int | None
    image_id: str | None
    health: dict[str, Any] | None
    health_at_ms: int | None
    problems: list[str]
    gpus: list[GpuView]


@dataclass(frozen=True)
class Registered:
    """A host after registration, whether that changed anything, and whether it was not there before."""

    host: HostView
    changed: bool
    new: bool


def register(
    deps: Deps,
    name: str,
    *,
    connection: str,
    address: str,
    gateway_url: str,
    gpus: Sequence[GpuSpec],
    simulated: bool,
    waits: bool = False,
) -> Registered:
    """Register a host and its GPUs, or bring what is registered up to date. Safe to repeat.

    Args:
        deps: ports.
        name: the host's name, as its guard reports it.
        connection: `local` or `ssh`.
        address: where Ansible reaches it.
        gateway_url: `ws://` or `wss://` URL at which browsers reach its gateway.
        gpus: in index order. A GPU left out is removed if free, else quarantined.
        simulated: no devices are passed to sessions.
        waits: a host that is new, or was removed before, is drained at first: nobody is placed on it yet.

    Raises:
        BadInput: a field has the wrong form, or a GPU belongs to another host.
    """
    facts: dict[str, Any] = {
        "address": address,
        "connection": connection,
        "gateway_url": gateway_url,
        "simulated": simulated,
    }
    _check(name, connection, gateway_url, gpus)
    with deps.database.begin() as db:
        locks.placement(db)
        host = db.get(Host, name)
        changed = host is None
        if host is None:
            host = Host(name=name, state="removed", **facts)
        for field, value in facts.items():
            changed = changed or getattr(host, field) != value
            setattr(host, field, value)
        new = host.state == "removed"
        if new:
            host.state, host.drain, changed = "draining" if waits else "ready", waits, True
        db.add(host)
        db.flush()
        changed = _register_gpus(db, name, gpus) or changed
        return Registered(_seen(deps, db, host), changed, new)


def list_hosts(deps: Deps) -> list[HostView]:
    """All registered hosts, by name."""
    with deps.database.begin() as db:
        rows = db.exec(select(Host).where(Host.state != "removed").order_by(col(Host.name))).all()
        return [_seen(deps, db, row) for row in rows]


def list_pool(deps: Deps) -> list[pool.Waiting]:
    """Desktops that wait for somebody on any host, oldest first."""
    with deps.database.begin() as db:
        return pool.list_waiting(db)


def show(deps: Deps, name: str) -> HostView:
    """One host.

    Raises:
        NotYours: no such host.
    """
    with deps.database.begin() as db:
        host = db.get(Host, name)
        if host is None:
            raise NotYours(f"There is no host named {name[:63]}.")
        return _seen(deps, db, host)


def release_gpu(deps: Deps, uuid: str) -> GpuView:
    """The operator vouches for a dirty or quarantined GPU: it becomes usable again.

    Raises:
        NotYours: no such GPU.
        WrongState: it is neither dirty nor quarantined.
    """
    with deps.database.begin() as db:
        gpu = db.exec(select(Gpu).where(Gpu.uuid == uuid).with_for_update(key_share=True)).first()
        if gpu is None:
            raise NotYours("There is no such GPU.")
        try:
            gpu.state, gpu.why = gpu_step(gpu.state, "checked"), "released by the operator"
        except ValueError as error:
            raise WrongState(str(error), state=gpu.state) from error
        db.add(gpu)
        alerts.clear_alert(db, gpu_hygiene.QUARANTINED, uuid, deps.clock.now_ms())
        return _gpu_view(gpu)


def quarantine_gpu(deps: Deps, uuid: str, why: str) -> GpuView:
    """The operator takes a GPU out of use; one that is leased, once its session is over.

    Raises:
        NotYours: no such GPU.
        WrongState: it is quarantined already.
    """
    return _gpu_view(gpu_hygiene.quarantine_by_operator(deps, uuid, why))


def _check(name: str, connection: str, gateway_url: str, gpus: Sequence[GpuSpec]) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput("A host's name has lower-case letters, digits, dots and dashes.", field="name")
    if connection not in ("local", "ssh"):
        raise BadInput("connection is local or ssh.", field="connection")
    if not gateway_url.startswith(("ws://", "wss://")):
        raise BadInput("The gateway's URL begins with ws:// or wss://.", field="gateway_url")
    if len({gpu.uuid for gpu in gpus}) != len(gpus):
        raise BadInput("A GPU is named twice.", field="gpus")


def _register_gpus(db: Session, host: str, gpus: Sequence[GpuSpec]) -> bool:
    """Bring the host's GPU rows up to date. Indices are parked first, so that they may be swapped."""
    rows = {gpu.uuid: gpu for gpu in db.exec(select(Gpu).where(Gpu.host == host)).all()}
    before = {uuid: (row.index, row.model, row.state, row.island) for uuid, row in rows.items()}
    wanted = [gpu.uuid for gpu in gpus]
    if [r.uuid for r in sorted(rows.values(), key=lambda r: r.index)] != wanted:
        for offset, row in enumerate(rows.values()):
            row.index = -1 - offset
            db.add(row)
        db.flush()
    for index, spec in enumerate(gpus):
        row = rows.get(spec.uuid) or _new_gpu(db, host, spec)
        row.index, row.model, row.island = index, spec.model, spec.island
        if row.state == "quarantined" and row.why == _GONE:
            row.state, row.why = "checked", None
        db.add(row)
    _remove(db, [row for uuid, row in rows.items() if uuid not in wanted], len(gpus))
    db.flush()
    rows = {gpu.uuid: gpu for gpu in db.exec(select(Gpu).where(Gpu.host == host))}
    after = {uuid: (row.index, row.model, row.state, row.island) for uuid, row in rows.items()}
    return before != after


def _new_gpu(db: Session, host: str, spec: GpuSpec) -> Gpu:
    other = db.get(Gpu, spec.uuid)
    if other is not None:
        raise BadInput(f"GPU {spec.uuid} belongs to host {other.host}.", field="gpus")
    return Gpu(uuid=spec.uuid, host=host, index=0, model=spec.model, state="free")


def _remove(db: Session, rows: list[Gpu], first_index: int) -> None:
    for offset, row in enumerate(rows):
        row.index = first_index + offset
        if row.state == "free":
            db.delete(row)
            continue
        if row.state in ("dirty", "checked"):
            row.state, row.why = "quarantined", _GONE
        db.add(row)


def _seen(deps: Deps, db: Session, host: Host) -> HostView:
    return _view(db, host, deps.clock.now_ms(), shared=bool(deps.settings.storage.shared))


def _view(db: Session, host: Host, now_ms: int, *, shared: bool) -> HostView:
    gpus = db.exec(select(Gpu).where(Gpu.host == host.name).order_by(col(Gpu.index))).all()
    facts: dict[str, Any] = {
        "name": host.name,
        "address": host.address,
        "connection": host.connection,
        "state": host.state,
        "simulated": host.simulated,
        "gateway_url": host.gateway_url,
        "last_report_at_ms": host.last_report_at_ms,
        "image_id": host.image_id,
        "health": host.health,
        "health_at_ms": host.health_at_ms,
        "problems": host_health.problems(
            host.health,
            None if host.health_at_ms is None else now_ms - host.health_at_ms,
            () if host.simulated else [gpu.uuid for gpu in gpus],
            shared=shared,
        ),
    }
    return HostView(**facts, gpus=[_gpu_view(gpu) for gpu in gpus])


def _gpu_view(gpu: Gpu) -> GpuView:
    return GpuView(gpu.uuid, gpu.index, gpu.model, gpu.state, gpu.slot_id, gpu.why, gpu.island)

"""The JSON object a session playbook gets: what axonos-host start, stop and probe read on stdin."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlmodel import Session, col, select

from controller.models import Gpu, GpuSession, Host, Run, Slot, WarmDesktop
from controller.services.homes import moves as home_moves
from controller.services.homes import orders as home_orders
from controller.services.hosts import gpu_hygiene, images
from controller.services.hosts.names import name_of
from controller.services.runs.orders import CHECK, START, STOP, Taken, lock_taken
from controller.settings import Settings

GEOMETRY = "1280x800"
PIDS_PER_GPU = 1024
STOP_TIMEOUT_S = 30
NEVER_UP_S = 2
SLACK_S = 30  # Ansible itself, on a busy machine
PROBE_TIMEOUT_S = 30
MOVE_TIMEOUT_S = 4 * 3600  # the first time, all of a home travels


def desktop_config(settings: Settings, row: GpuSession, gpus: list[str], image_id: str) -> dict[str, Any]:
    """What makes a container what it is. Its digest is the container's label: same digest, same container."""
    made_of = warm_config(settings, row.gpus, gpus, image_id) | {
        "home": row.wallet,
        "fresh_start": row.fresh_start,
    }
    if row.kind == "ssh":
        made_of |= {"kind": "ssh", "ssh_keys": row.ssh_keys.splitlines()}
    return made_of


def warm_config(settings: Settings, count: int, gpus: list[str], image_id: str) -> dict[str, Any]:
    """The same for a desktop that is nobody's yet: what it is made of, and nothing of a person."""
    limits = settings.sessions
    return {
        "image": image_id,
        "gpus": gpus,
        "cpus": float(limits.cpus_per_gpu * count),
        "memory_mib": limits.memory_mib_per_gpu * count,
        "pids": PIDS_PER_GPU * count,
        "geometry": GEOMETRY,
    }


def digest(config: dict[str, Any]) -> str:
    """SHA-256 of a configuration, as canonical JSON."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_ours(db: Session, taken: Taken) -> bool:
    """Whether this worker still holds the run; slot and run stay locked."""
    if taken.slot is not None:
        db.exec(select(Slot.id).where(Slot.id == taken.slot).with_for_update(key_share=True)).one()
    return lock_taken(db, taken) is not None


def request(db: Session, settings: Settings, taken: Taken, now_ms: int) -> dict[str, Any]:
    """The request of one taken run.

    The slot's fencing token is raised for it, so that the host refuses whatever a former worker still does.
    """
    by_run = {
        home_moves.MOVE: home_moves.request,
        images.PUSH: images.request,
        home_orders.ORDER: home_orders.request,
    }.get(taken.playbook)
    if by_run is not None:
        return {"instance": settings.instance} | by_run(db, taken.id)
    if taken.playbook == CHECK:
        return {"instance": settings.instance} | gpu_hygiene.request(db, taken.host)
    if taken.slot is None:
        return {"instance": settings.instance}
    slot = db.exec(select(Slot).where(Slot.id == taken.slot).with_for_update(key_share=True)).one()
    slot.fencing_token += 1
    db.add(slot)
    base = {"instance": settings.instance, "slot": slot.id, "fencing_token": slot.fencing_token}
    if taken.playbook == STOP:
        return base | {"timeout_s": _patience_s(db, taken, slot)} | _gpus_to_check(db, slot)
    slot.lease_until_ms = now_ms + settings.sessions.lease_minutes * 60_000
    return base | _start_fields(db, settings, slot)


def _patience_s(db: Session, taken: Taken, slot: Slot) -> int:
    """How long a container may take to end by itself.

    Nobody has worked in one that never came up, and its first program may be too young to hear a signal: the
    home that it holds is not to be waited for.
    """
    if not taken.session:
        return 0
    came_up = select(Run.id).where(Run.slot_id == slot.id, Run.playbook == START, Run.state == "succeeded")
    was_ready = select(GpuSession.id).where(
        GpuSession.slot_id == slot.id, col(GpuSession.ready_at_ms).is_not(None)
    )
    up = db.exec(came_up.limit(1)).first() or db.exec(was_ready).first()
    return STOP_TIMEOUT_S if up else NEVER_UP_S


def _gpus_to_check(db: Session, slot: Slot) -> dict[str, Any]:
    held = db.exec(select(Gpu.uuid).where(Gpu.slot_id == slot.id).order_by(col(Gpu.index))).all()
    simulated = db.exec(select(Host.simulated).where(Host.name == slot.host)).one()
    return {"gpus": list(held), "simulated": simulated, "gpus_since_ms": slot.created_at_ms}


def _start_fields(db: Session, settings: Settings, slot: Slot) -> dict[str, Any]:
    row = db.exec(select(GpuSession).where(GpuSession.slot_id == slot.id)).first()
    host = db.exec(select(Host).where(Host.name == slot.host)).one()
    warm = db.exec(select(WarmDesktop).where(WarmDesktop.slot_id == slot.id)).first()
    port = {} if slot.ssh_port is None else {"ssh_port": slot.ssh_port, "ssh_host": name_of(host)}
    return (
        _desktop(db, settings, slot, row, warm)
        | port
        | {
            "subnet_index": slot.subnet_index,
            "session": row.id if row else "",
            "generation": row.generation if row else 1,
            "warm": warm is not None,
            "reserve_mib": settings.pool.reserve_mib,
            "lease_until_ms": slot.lease_until_ms,
            "config_digest": slot.config_digest,
            **(home_moves.start_fields(db, row.wallet) if row else {}),
            "simulated": host.simulated,
            "start_timeout_s": settings.sessions.start_timeout_s,
        }
    )


def _desktop(
    db: Session, settings: Settings, slot: Slot, row: GpuSession | None, warm: WarmDesktop | None
) -> dict[str, Any]:
    """Whose desktop is to be there, and what it is made of."""
    if row is None:
        assert warm is not None, "a start is for somebody, or for the pool"
        nobodys = {"home": "", "fresh_start": False}
        return warm_config(settings, len(warm.gpus), warm.gpus, slot.image_id) | nobodys
    gpus = db.exec(select(Gpu.uuid).where(Gpu.slot_id == slot.id).order_by(col(Gpu.index))).all()
    return desktop_config(settings, row, list(gpus), slot.image_id)


def timeout_s(settings: Settings, playbook: str) -> int:
    """How long a run may take in all."""
    if playbook in (home_moves.MOVE, images.PUSH):
        return MOVE_TIMEOUT_S
    if playbook == START:
        return settings.sessions.start_timeout_s + SLACK_S
    return (STOP_TIMEOUT_S if playbook == STOP else PROBE_TIMEOUT_S) + SLACK_S

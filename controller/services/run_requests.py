"""The JSON object a session playbook gets: what axonos-host start, stop and probe read on stdin."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from controller.models import Gpu, GpuSession, Host, Slot
from controller.services import gpu_hygiene
from controller.services.runs import CHECK, START, STOP, Taken
from controller.settings import Settings

GEOMETRY = "1280x800"
PIDS_PER_GPU = 1024
STOP_TIMEOUT_S = 30
SLACK_S = 30  # Ansible itself, on a busy machine
PROBE_TIMEOUT_S = 30


def desktop_config(settings: Settings, row: GpuSession, gpus: list[str]) -> dict[str, Any]:
    """What makes a container what it is. Its digest is the container's label: same digest, same container."""
    limits = settings.sessions
    return {
        "image": limits.image_id,
        "home": row.wallet,
        "gpus": gpus,
        "cpus": float(limits.cpus_per_gpu * row.gpus),
        "memory_mib": limits.memory_mib_per_gpu * row.gpus,
        "pids": PIDS_PER_GPU * row.gpus,
        "geometry": GEOMETRY,
        "fresh_start": row.fresh_start,
    }


def request(db: Session, settings: Settings, taken: Taken, now_ms: int) -> dict[str, Any]:
    """The request of one taken run.

    The slot's fencing token is raised for it, so that the host refuses whatever a former worker still does.
    """
    if taken.playbook == CHECK:
        return {"instance": settings.instance} | gpu_hygiene.request(db, taken.host)
    if taken.slot is None:
        return {"instance": settings.instance}
    slot = db.exec(select(Slot).where(Slot.id == taken.slot).with_for_update(key_share=True)).one()
    slot.fencing_token += 1
    db.add(slot)
    base = {"instance": settings.instance, "slot": slot.id, "fencing_token": slot.fencing_token}
    if taken.playbook == STOP:
        return base | {"timeout_s": STOP_TIMEOUT_S} | _gpus_to_check(db, slot)
    slot.lease_until_ms = now_ms + settings.sessions.lease_minutes * 60_000
    return base | _start_fields(db, settings, slot)


def _gpus_to_check(db: Session, slot: Slot) -> dict[str, Any]:
    held = db.exec(select(Gpu.uuid).where(Gpu.slot_id == slot.id).order_by(col(Gpu.index))).all()
    simulated = db.exec(select(Host.simulated).where(Host.name == slot.host)).one()
    return {"gpus": list(held), "simulated": simulated, "gpus_since_ms": slot.created_at_ms}


def _start_fields(db: Session, settings: Settings, slot: Slot) -> dict[str, Any]:
    row = db.exec(select(GpuSession).where(GpuSession.slot_id == slot.id)).one()
    host = db.exec(select(Host).where(Host.name == slot.host)).one()
    gpus = db.exec(select(Gpu.uuid).where(Gpu.slot_id == slot.id).order_by(col(Gpu.index))).all()
    return desktop_config(settings, row, list(gpus)) | {
        "subnet_index": slot.subnet_index,
        "session": row.id,
        "generation": row.generation,
        "lease_until_ms": slot.lease_until_ms,
        "config_digest": slot.config_digest,
        "simulated": host.simulated,
        "start_timeout_s": settings.sessions.start_timeout_s,
    }


def timeout_s(settings: Settings, playbook: str) -> int:
    """How long a run may take in all."""
    if playbook == START:
        return settings.sessions.start_timeout_s + SLACK_S
    return (STOP_TIMEOUT_S if playbook == STOP else PROBE_TIMEOUT_S) + SLACK_S

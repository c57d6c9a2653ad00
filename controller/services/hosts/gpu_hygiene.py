"""A GPU's way back: leased -> dirty -> checked, or into quarantine with a reason and an alert.

The last step, checked -> free, is the planner's (`placing`). A GPU leaves its slot only in the transaction
that writes down that the slot's container is confirmed gone.
"""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from controller.domain.placement import after_check, gpu_step
from controller.errors import NotYours, WrongState
from controller.models import Gpu, Host, Run, Slot
from controller.services import alerts
from controller.services.deps import Deps
from controller.services.ports import RunOutcome
from controller.services.runs import orders as runs

CHECK_EVERY_MS = 10_000
QUARANTINED = "gpu-quarantined"


def give_back(db: Session, slot: Slot, checks: dict[str, Any], now_ms: int) -> None:
    """Take the GPUs of a slot that is gone, each to where the host's check sends it."""
    for gpu in db.exec(select(Gpu).where(Gpu.slot_id == slot.id).with_for_update(key_share=True)).all():
        gpu.state, gpu.slot_id, gpu.dirty_at_ms = gpu_step(gpu.state, "dirty"), None, now_ms
        if gpu.why:
            quarantine(db, gpu, gpu.why, now_ms)
        else:
            _judge(db, gpu, checks.get(gpu.uuid), now_ms)


def ask(db: Session, now_ms: int) -> None:
    """Write the intent to check dirty GPUs again, once per host and interval."""
    for host in sorted(set(db.exec(select(Gpu.host).where(Gpu.state == "dirty")).all())):
        recent = select(Run.id).where(
            Run.host == host, Run.playbook == runs.CHECK, Run.created_at_ms > now_ms - CHECK_EVERY_MS
        )
        if db.exec(recent).first() is None:
            runs.enqueue(db, runs.CHECK, host, now_ms)


def request(db: Session, host: str) -> dict[str, Any]:
    """What `axonos-host check` is asked about a host's dirty GPUs."""
    dirty = _dirty(db, host)
    simulated = db.exec(select(Host.simulated).where(Host.name == host)).one()
    since = min((gpu.leased_at_ms or 0 for gpu in dirty), default=0)
    return {"gpus": [gpu.uuid for gpu in dirty], "simulated": simulated, "gpus_since_ms": since}


def finish_check(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    """Write what a check found; False for a stale worker. A check that failed is one that said nothing."""
    ok = outcome.succeeded and bool(outcome.result.get("ok"))
    checks = outcome.result.get("gpu_checks") or {} if ok else {}
    with deps.database.begin() as db:
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        now = deps.clock.now_ms()
        runs.settle_run(run, "succeeded" if ok else "failed", now, outcome.result, outcome.error_code)
        db.add(run)
        for gpu in _dirty(db, taken.host):
            if gpu.dirty_at_ms is None or gpu.dirty_at_ms <= (run.started_at_ms or 0):
                _judge(db, gpu, checks.get(gpu.uuid), now)
    return True


def quarantine(db: Session, gpu: Gpu, why: str, now_ms: int) -> None:
    """Take a locked GPU out of use, and tell the operator."""
    gpu.state, gpu.why = gpu_step(gpu.state, "quarantined"), why
    db.add(gpu)
    alerts.raise_alert(db, QUARANTINED, gpu.uuid, f"{gpu.uuid} of {gpu.host}: {why}", now_ms)


def quarantine_by_operator(deps: Deps, uuid: str, why: str) -> Gpu:
    """Take a GPU out of use; one that is leased, once its session is over.

    Raises:
        NotYours: no such GPU.
        WrongState: it is quarantined already.
    """
    with deps.database.begin() as db:
        gpu = db.exec(select(Gpu).where(Gpu.uuid == uuid).with_for_update(key_share=True)).first()
        if gpu is None:
            raise NotYours("There is no such GPU.")
        if gpu.state == "quarantined":
            raise WrongState(f"It is quarantined already: {gpu.why}", state=gpu.state)
        if gpu.state == "leased":
            gpu.why = why
            db.add(gpu)
        else:
            quarantine(db, gpu, why, deps.clock.now_ms())
        return Gpu.model_validate(gpu.model_dump())


def _judge(db: Session, gpu: Gpu, said: Any, now_ms: int) -> None:
    """Where a dirty GPU goes now. `said` is the host's answer about it, None if it said nothing."""
    simulated = db.exec(select(Host.simulated).where(Host.name == gpu.host)).one()
    answer = said if isinstance(said, dict) else {}
    state, why = after_check(
        simulated=simulated,
        healthy=answer.get("healthy"),
        why=str(answer.get("why") or "")[:300],
        waited_ms=now_ms - (gpu.dirty_at_ms or now_ms),
    )
    if state == "quarantined":
        quarantine(db, gpu, why or "", now_ms)
        return
    gpu.state, gpu.why = (gpu.state if state == "dirty" else gpu_step(gpu.state, state)), why
    db.add(gpu)


def _dirty(db: Session, host: str) -> list[Gpu]:
    query = select(Gpu).where(Gpu.host == host, Gpu.state == "dirty").order_by(col(Gpu.index))
    return list(db.exec(query.with_for_update(key_share=True)).all())

"""What follows from a finished run: a desktop that is up, a start that failed, a container that is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, select

from controller.domain import lifecycle
from controller.domain.metering import proof_of_life
from controller.domain.placement import after_stop, gpu_step
from controller.models import Gpu, GpuSession, Host, Run, Slot
from controller.services import ends, ledger, life, observations, runs
from controller.services.deps import Deps
from controller.services.ports import RunOutcome

MAX_STARTS = 3
_SENTENCES = {
    "host_unreachable": "the GPU host could not be reached",
    "image_missing": "the desktop image is missing on the GPU host",
    "gpu_busy": "a GPU was still in use",
    "volume_busy": "your files are still in use by an earlier desktop",
    "timeout": "the desktop took too long to start",
    "not_painted": "the desktop did not appear in time",
}


@dataclass(frozen=True)
class _Locked:
    """The rows of one finished run, all locked."""

    run: Run
    row: GpuSession
    slot: Slot


def finish(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    """Write a run's outcome and all that follows from it, in one transaction.

    Args:
        deps: ports.
        taken: the run as this worker took it.
        outcome: from the provisioner.

    Returns:
        False when another worker holds the run by now: this outcome is dropped.
    """
    if taken.slot is None or taken.session is None:
        return _finish_probe(deps, taken, outcome)
    now = deps.clock.now_ms()
    with deps.database.begin() as db:
        row = life.lock(db, taken.session)
        slot = _lock_slot(db, taken.slot)
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        follow = _started if taken.playbook == runs.START else _stopped
        follow(db, _Locked(run, row, slot), outcome, now)
        db.add(run)
    return True


def _started(db: Session, at: _Locked, outcome: RunOutcome, now: int) -> None:
    answer = outcome.result
    if outcome.succeeded and answer.get("ok"):
        runs.settle_run(at.run, "succeeded", now, answer, None)
        _up(db, at.row, at.slot, answer, now)
        return
    error = outcome.error_code or answer.get("code") or "docker_error"
    starting = at.row.state == "starting"
    if starting and answer.get("retry") == "here" and at.run.attempts < MAX_STARTS:
        runs.again(at.run, now, runs.backoff_ms(at.run.attempts), answer, error)
        return
    runs.settle_run(at.run, "failed", now, answer, error)
    if starting:
        why = _SENTENCES.get(error, "the desktop could not be started")
        life.write(db, at.row, lifecycle.failed(life.life_of(at.row), why, now))
        ledger.release_hold(db, at.row.id, now)
        ends.stop_slot(db, at.slot.id, at.row.id, now)


def _up(db: Session, row: GpuSession, slot: Slot, answer: dict[str, Any], now: int) -> None:
    """The container runs. If its session was ended meanwhile, the stop run is already behind this one."""
    ready = min(now, max(int(answer["ready_at_ms"]), row.starting_at_ms or 0))
    slot.container_id = answer.get("container_id")
    slot.started_at_ms = answer.get("started_at_ms")
    slot.last_alive_ms = proof_of_life(slot.last_alive_ms, ready, now)
    if slot.state == "intended":
        slot.state = "up"
    db.add(slot)
    if row.state == "starting":
        life.write(db, row, lifecycle.ready(life.life_of(row), ready, now))
        ledger.release_hold(db, row.id, now)


def _stopped(db: Session, at: _Locked, outcome: RunOutcome, now: int) -> None:
    answer, slot = outcome.result, at.slot
    if not (outcome.succeeded and answer.get("ok")):
        error = outcome.error_code or answer.get("code") or "docker_error"
        runs.again(at.run, now, runs.backoff_ms(at.run.attempts), answer, error)
        return
    runs.settle_run(at.run, "succeeded", now, answer, None)
    if answer.get("changed") and answer.get("stopped_at_ms") and slot.last_alive_ms is not None:
        slot.last_alive_ms = proof_of_life(slot.last_alive_ms, int(answer["stopped_at_ms"]), now)
    slot.state, slot.gone_at_ms = "gone", now
    db.add(slot)
    db.flush()
    if at.row.state == "ending":
        ends.finish_end(db, at.row, now)
    _give_back_gpus(db, slot, answer.get("gpu_checks") or {})


def _give_back_gpus(db: Session, slot: Slot, checks: dict[str, bool]) -> None:
    """Leased -> dirty -> checked; the placement that follows takes the last step to free."""
    simulated = db.exec(select(Host.simulated).where(Host.name == slot.host)).one()
    for gpu in db.exec(select(Gpu).where(Gpu.slot_id == slot.id).with_for_update(key_share=True)):
        dirty = gpu_step(gpu.state, "dirty")
        after, gpu.why = after_stop(simulated=simulated, healthy=checks.get(gpu.uuid))
        gpu.state = dirty if after == "dirty" else gpu_step(dirty, after)
        gpu.slot_id = None
        db.add(gpu)


def _finish_probe(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    """A probe says what runs on a host; it counts as seen when the probe began."""
    ok = outcome.succeeded and bool(outcome.result.get("ok"))
    slots = outcome.result.get("slots", []) if ok else []
    with deps.database.begin() as db:
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        now = deps.clock.now_ms()
        state = "succeeded" if ok else "failed"
        runs.settle_run(run, state, now, outcome.result, outcome.error_code)
        db.add(run)
        began = run.started_at_ms or 0
        if ok:
            observations.note(deps, db, taken.host, slots, began)
    if ok:
        observations.act(deps, taken.host, slots, began)
    return True


def _lock_slot(db: Session, slot_id: str) -> Slot:
    query = select(Slot).where(Slot.id == slot_id).with_for_update(key_share=True)
    return db.exec(query.execution_options(populate_existing=True)).one()

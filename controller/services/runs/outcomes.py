"""What follows from a finished run: a desktop that is up, a start that failed, a container that is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, select

from controller.domain import lifecycle
from controller.domain.metering import proof_of_life
from controller.models import GpuSession, Host, Run, Slot
from controller.services import alerts
from controller.services.deps import Deps
from controller.services.homes import moves as home_moves
from controller.services.homes import orders as home_orders
from controller.services.hosts import gpu_hygiene, images
from controller.services.money import ledger
from controller.services.pool import runs as pool_runs
from controller.services.ports import RunOutcome
from controller.services.reports import observations
from controller.services.runs import orders as runs
from controller.services.sessions import ends, life, start_failures, warnings

MAX_STARTS = 3
STOP_ALERT_AFTER = 5


@dataclass(frozen=True)
class _Locked:
    """The rows of one finished run, all locked."""

    run: Run
    row: GpuSession
    slot: Slot
    absence_ms: int
    is_shared: bool  # homes lie on a file system that all hosts share


def finish(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    """Write a run's outcome and all that follows from it, in one transaction.

    Args:
        deps: ports.
        taken: the run as this worker took it.
        outcome: from the provisioner.

    Returns:
        False when another worker holds the run by now: this outcome is dropped.
    """
    by_itself = {
        runs.CHECK: gpu_hygiene.finish_check,
        images.PUSH: images.finish,
        home_orders.ORDER: home_orders.finish,
    }.get(taken.playbook)
    if by_itself is not None:
        return by_itself(deps, taken, outcome)
    if taken.playbook == home_moves.MOVE and taken.session is None:
        return _finish_move(deps, taken, outcome)
    if taken.slot is not None and taken.session is None:
        return pool_runs.finish(deps, taken, outcome)
    if taken.slot is None or taken.session is None:
        return _finish_probe(deps, taken, outcome)
    now = deps.clock.now_ms()
    with deps.database.begin() as db:
        row = life.lock(db, taken.session)
        slot = _lock_slot(db, taken.slot)
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        runs.note_way(run, taken, outcome, now)
        follow = {runs.START: _started, home_moves.MOVE: _moved}.get(taken.playbook, _stopped)
        absence_ms, is_shared = deps.settings.sessions.absence_s * 1000, bool(deps.settings.storage.shared)
        follow(db, _Locked(run, row, slot, absence_ms, is_shared), outcome, now)
        db.add(run)
    return True


def _started(db: Session, at: _Locked, outcome: RunOutcome, now: int) -> None:
    answer = outcome.result
    if outcome.succeeded and answer.get("ok"):
        runs.settle_run(at.run, "succeeded", now, answer, None)
        _up(db, at, answer, now)
        return
    error = outcome.error_code or answer.get("code") or "docker_error"
    starting = at.row.state == "starting"
    if starting and answer.get("retry") == "here" and at.run.attempts < MAX_STARTS:
        runs.again(at.run, now, runs.backoff_ms(at.run.attempts), answer, error)
        return
    runs.settle_run(at.run, "failed", now, answer, error)
    if starting:
        db.add(at.run)
        db.flush()
        _not_started(db, at, error, answer.get("retry", "elsewhere"), now)


def _moved(db: Session, at: _Locked, outcome: RunOutcome, now: int) -> None:
    """The home is there, and the slot's start comes next; or it stays, and the claim is placed anew."""
    answer = outcome.result
    if outcome.succeeded and answer.get("ok"):
        runs.settle_run(at.run, "succeeded", now, answer, None)
        home_moves.arrived(db, at.run)
        return
    error = outcome.error_code or answer.get("code") or "run_failed"
    starting = at.row.state == "starting"
    if starting and answer.get("retry") == "here" and at.run.attempts < home_moves.MAX_ATTEMPTS:
        runs.again(at.run, now, runs.backoff_ms(at.run.attempts), answer, error)
        return
    runs.settle_run(at.run, "failed", now, answer, error)
    home_moves.give_up(db, at.run)
    if starting:
        db.add(at.run)
        db.flush()
        _not_started(db, at, error, "elsewhere", now)


def _finish_move(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    with deps.database.begin() as db:
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        now = deps.clock.now_ms()
        runs.note_way(run, taken, outcome, now)
        home_moves.finish_alone(db, run, outcome, now)
        home_orders.follow(db, run, now)
        db.add(run)
    return True


def _not_started(db: Session, at: _Locked, error: str, retry: str, now: int) -> None:
    """Back to its place in the queue for another start, or failed for good; the slot is cleared either way.

    The hold on the balance stays while it waits. Nothing was billed: the desktop never was.
    """
    slot = at.slot.id
    if retry != "stop" and start_failures.count(db, at.row.id) < start_failures.MAX_PLACES:
        life.write(db, at.row, lifecycle.requeued(life.life_of(at.row), start_failures.again(error), now))
        at.row.slot_id = None
        db.add(at.row)
        db.flush()
    else:
        why = start_failures.sentence(error)
        life.write(db, at.row, lifecycle.failed(life.life_of(at.row), why, now))
        ledger.release_hold(db, at.row.id, now)
    ends.stop_slot(db, slot, at.row.id, now)


def _up(db: Session, at: _Locked, answer: dict[str, Any], now: int) -> None:
    """The container runs. If its session was ended meanwhile, the stop run is already behind this one."""
    row, slot = at.row, at.slot
    ready = int(answer["ready_at_ms"])
    if not (row.starting_at_ms or 0) <= ready <= now:
        ready = now  # a host whose clock is wrong: in the favour of who pays
    slot.container_id = answer.get("container_id")
    slot.started_at_ms = answer.get("started_at_ms")
    slot.last_alive_ms = proof_of_life(slot.last_alive_ms, ready, now)
    if slot.state == "intended":
        slot.state = "up"
    db.add(slot)
    if row.kind == "ssh":
        row.host_key = str(answer.get("host_key", ""))
    if row.state == "starting":
        life.write(db, row, lifecycle.ready(life.life_of(row), ready, now, at.absence_ms))
        if row.detached and row.kind == "desktop":
            warnings.started_alone(db, row.id, now)
        home_moves.made(db, row.wallet, slot.host, now)
        ledger.release_hold(db, row.id, now)


def _stopped(db: Session, at: _Locked, outcome: RunOutcome, now: int) -> None:
    answer, slot = outcome.result, at.slot
    if not (outcome.succeeded and answer.get("ok")):
        error = outcome.error_code or answer.get("code") or "docker_error"
        runs.again(at.run, now, runs.backoff_ms(at.run.attempts), answer, error)
        if at.run.attempts >= STOP_ALERT_AFTER:
            why = f"{slot.id} on {slot.host}: {error}, {at.run.attempts} times"
            alerts.raise_alert(db, "stop-fails", slot.id, why, now)
        return
    runs.settle_run(at.run, "succeeded", now, answer, None)
    alerts.clear_alert(db, "stop-fails", slot.id, now)
    if answer.get("changed") and answer.get("stopped_at_ms") and slot.last_alive_ms is not None:
        slot.last_alive_ms = proof_of_life(slot.last_alive_ms, int(answer["stopped_at_ms"]), now)
    slot.state, slot.gone_at_ms = "gone", now
    db.add(slot)
    db.flush()
    if at.row.state == "ending" and at.row.slot_id == slot.id:
        ends.finish_end(db, at.row, now)
    if not at.is_shared:
        home_moves.replicate(db, at.row.wallet, now)
    gpu_hygiene.give_back(db, slot, answer.get("gpu_checks") or {}, now)


def _finish_probe(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    """A probe says what runs on a host; it counts as seen when the probe began."""
    ok = outcome.succeeded and bool(outcome.result.get("ok"))
    slots = outcome.result.get("slots", []) if ok else []
    with deps.database.begin() as db:
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        now = deps.clock.now_ms()
        runs.note_way(run, taken, outcome, now)
        state = "succeeded" if ok else "failed"
        runs.settle_run(run, state, now, outcome.result, outcome.error_code)
        db.add(run)
        began = run.started_at_ms or 0
        if ok:
            _note_health(
                db, taken.host, outcome.result.get("health"), now
            )  # host before slots, as a report does
            observations.note(deps, db, taken.host, slots, began)
    if ok:
        observations.act(deps, taken.host, slots, began)
    return True


def _note_health(db: Session, name: str, health: Any, now_ms: int) -> None:
    host = db.exec(select(Host).where(Host.name == name).with_for_update(key_share=True)).one()
    if isinstance(health, dict):
        host.health, host.health_at_ms = health, now_ms
        db.add(host)


def _lock_slot(db: Session, slot_id: str) -> Slot:
    query = select(Slot).where(Slot.id == slot_id).with_for_update(key_share=True)
    return db.exec(query.execution_options(populate_existing=True)).one()

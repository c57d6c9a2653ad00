"""What follows from a run that the pool does for itself: a desktop that waits now, or one that is gone."""

from __future__ import annotations

from sqlmodel import Session, select

from controller.models import Run, Slot, WarmDesktop
from controller.services.deps import Deps
from controller.services.pool import waiting as pool
from controller.services.ports import RunOutcome
from controller.services.runs import orders as runs
from controller.services.sessions import ends


def finish(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    """Write a run's outcome in one transaction.

    Args:
        deps: ports.
        taken: the run as this worker took it; it has a slot and no session.
        outcome: from the provisioner.

    Returns:
        False when another worker holds the run by now: this outcome is dropped.
    """
    now = deps.clock.now_ms()
    with deps.database.begin() as db:
        slot = db.exec(select(Slot).where(Slot.id == taken.slot).with_for_update(key_share=True)).one()
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        runs.note_way(run, taken, outcome, now)
        warm = pool.is_pooled(db, slot.id)
        if taken.playbook == runs.STOP:
            _stopped(run, slot, outcome, now)
        elif outcome.succeeded and outcome.result.get("ok"):
            _painted(run, slot, warm, outcome, now)
        else:
            _not_painted(db, run, slot, outcome, now)
        for row in (run, slot, warm):
            if row is not None:
                db.add(row)
    return True


def _painted(run: Run, slot: Slot, warm: WarmDesktop | None, outcome: RunOutcome, now: int) -> None:
    """It waits from now on, unless it is being removed already."""
    answer = outcome.result
    runs.settle_run(run, "succeeded", now, answer, None)
    slot.container_id, slot.started_at_ms = answer.get("container_id"), answer.get("started_at_ms")
    if slot.state == "intended" and warm is not None:
        slot.state = "warm"
        warm.painted_at_ms, warm.memory_mib = now, answer.get("memory_mib")


def _not_painted(db: Session, run: Run, slot: Slot, outcome: RunOutcome, now: int) -> None:
    """Tried again later in another slot; this one is cleared."""
    error = outcome.error_code or outcome.result.get("code") or "docker_error"
    runs.settle_run(run, "failed", now, outcome.result, error)
    db.add(run)
    db.flush()
    ends.stop_slot(db, slot.id, None, now)


def _stopped(run: Run, slot: Slot, outcome: RunOutcome, now: int) -> None:
    if outcome.succeeded and outcome.result.get("ok"):
        runs.settle_run(run, "succeeded", now, outcome.result, None)
        slot.state, slot.gone_at_ms = "gone", now
        return
    error = outcome.error_code or outcome.result.get("code") or "docker_error"
    runs.again(run, now, runs.backoff_ms(run.attempts), outcome.result, error)

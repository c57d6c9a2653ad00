"""The run queue: intent before act, taken under a lease, every write checked against its fencing token.

Nothing here runs a playbook or holds a transaction while one runs. Source: design 6. Whoever locks more
than one row of a session locks in this order: session, slot, run, journal; always for no-key update, since
rows that refer to a locked one are inserted by others meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import Session, col, select, update

from controller.models import Host, Run
from controller.services.deps import Deps
from controller.services.ports import RunOutcome

LEASE_MS = 6_000  # a killed worker's runs go on this much later
START = "session_start.yml"
STOP = "session_stop.yml"
PROBE = "session_probe.yml"
CHECK = "gpu_check.yml"

# One run of a slot at a time, in order: a stop waits for the start before it. What the pool does for itself
# comes after everything that is done for somebody, and of runs that copy homes while nobody waits there is
# one at a time: they last long.
_NEXT = text(
    """
    SELECT r.id FROM run r
    WHERE ((r.state = 'queued' AND r.not_before_ms <= :now)
           OR (r.state = 'running' AND r.lease_until_ms < :now))
      AND NOT EXISTS (SELECT 1 FROM run o WHERE o.slot_id = r.slot_id AND o.id < r.id
                      AND o.state IN ('queued', 'running'))
      AND NOT (r.playbook = 'home_move.yml' AND r.session_id IS NULL AND EXISTS (
        SELECT 1 FROM run o WHERE o.playbook = 'home_move.yml' AND o.session_id IS NULL
        AND o.state = 'running' AND o.lease_until_ms >= :now))
    ORDER BY ((r.slot_id IS NOT NULL OR r.playbook = 'home_move.yml') AND r.session_id IS NULL), r.id
    LIMIT 1 FOR NO KEY UPDATE OF r SKIP LOCKED
    """
)
_RENEW = text(
    "UPDATE run SET lease_until_ms = :until WHERE id = :id AND lease_token = :token AND state = 'running'"
)
_EVENT = text(
    """
    INSERT INTO run_event (run_id, attempt, seq, event, task, at_ms, data)
    SELECT :id, :attempt, :seq, :event, :task, :at, CAST(:data AS jsonb) FROM run
    WHERE id = :id AND lease_token = :token AND state = 'running'
    ON CONFLICT DO NOTHING
    """
)


@dataclass(frozen=True)
class Taken:
    """A run this worker holds until its lease ends. `token` goes with every write about it."""

    id: int
    token: int
    attempt: int
    playbook: str
    host: str
    slot: str | None
    session: str | None
    at_ms: int = 0


def enqueue(
    db: Session,
    playbook: str,
    host: str,
    now_ms: int,
    *,
    slot: str | None = None,
    session: str | None = None,
) -> None:
    """Write the intent; a worker acts on it after this transaction committed."""
    db.add(
        Run(
            playbook=playbook,
            host=host,
            slot_id=slot,
            session_id=session,
            state="queued",
            created_at_ms=now_ms,
        )
    )
    db.flush()


def take(deps: Deps, owner: str) -> Taken | None:
    """Take the next run that is due, or one whose worker's lease has run out.

    Args:
        deps: ports.
        owner: name of this worker, for the operator's eyes.
    """
    now = deps.clock.now_ms()
    with deps.database.begin() as db:
        found = db.connection().execute(_NEXT, {"now": now}).scalar()
        if found is None:
            return None
        run = db.exec(select(Run).where(Run.id == found)).one()
        run.state, run.lease_owner, run.attempts = "running", owner, run.attempts + 1
        run.lease_token += 1
        run.lease_until_ms = now + LEASE_MS
        run.started_at_ms = run.started_at_ms or now
        return Taken(
            found, run.lease_token, run.attempts, run.playbook, run.host, run.slot_id, run.session_id, now
        )


def renew(deps: Deps, taken: Taken) -> bool:
    """Hold the run for another lease; False when another worker has it by now."""
    values = {"id": taken.id, "token": taken.token, "until": deps.clock.now_ms() + LEASE_MS}
    with deps.database.begin() as db:
        return bool(db.connection().execute(_RENEW, values).rowcount)


def owners(deps: Deps) -> list[str]:
    """The workers that hold runs now."""
    with deps.database.begin() as db:
        return list(db.exec(select(Run.lease_owner).where(Run.state == "running").distinct()))  # type: ignore[arg-type]


def release(deps: Deps, owner: str) -> int:
    """Let a dead worker's runs be taken at once instead of after its leases. Returns how many."""
    held = update(Run).where(col(Run.lease_owner) == owner, col(Run.state) == "running")
    with deps.database.begin() as db:
        return int(db.exec(held.values(lease_until_ms=0)).rowcount)


def store_events(deps: Deps, taken: Taken, rows: list[dict[str, Any]]) -> None:
    """Store ansible-runner events of this attempt; a stale worker's events are dropped."""
    if not rows:
        return
    fixed = {"id": taken.id, "attempt": taken.attempt, "token": taken.token}
    with deps.database.begin() as db:
        db.connection().execute(_EVENT, [row | fixed for row in rows])


def lock_taken(db: Session, taken: Taken) -> Run | None:
    """The run's row, locked, if this worker still holds it; None for a stale worker."""
    query = select(Run).where(Run.id == taken.id).with_for_update(key_share=True)
    run = db.exec(query.execution_options(populate_existing=True)).one()
    return run if run.lease_token == taken.token and run.state == "running" else None


def note_way(run: Run, taken: Taken, outcome: RunOutcome, now_ms: int) -> None:
    """Write how the attempt ran and when each of its stages came, in milliseconds since it was due."""
    due = max(run.created_at_ms, run.not_before_ms)
    before = max(0, taken.at_ms - due)
    stages = {name: before + ms for name, ms in outcome.stages.items()}
    run.way, run.way_why = outcome.way, outcome.way_why
    run.timings = {"taken": before, **stages, "finished": max(0, now_ms - due)}


def settle_run(run: Run, state: str, now_ms: int, result: dict[str, Any], error: str | None) -> None:
    """Write how the run ended."""
    run.state, run.result, run.error_code = state, result, error
    run.finished_at_ms, run.lease_until_ms = now_ms, None


def again(run: Run, now_ms: int, delay_ms: int, result: dict[str, Any], error: str | None) -> None:
    """Put the run back; nobody takes it before the delay is over."""
    run.state, run.result, run.error_code = "queued", result, error
    run.not_before_ms, run.lease_until_ms = now_ms + delay_ms, None


def backoff_ms(attempts: int) -> int:
    """Pause after the n-th failed attempt: 1, 2, 4 … at most 60 s."""
    return min(60_000, 1_000 << min(attempts - 1, 6))


def host_facts(db: Session, name: str) -> dict[str, Any]:
    """What the provisioner needs to reach a host."""
    host = db.exec(select(Host).where(Host.name == name)).one()
    return {"name": host.name, "connection": host.connection, "address": host.address}

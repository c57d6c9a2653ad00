"""Sessions as the operator sees them: the list, one with its events and runs, and ending it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from controller.domain.lifecycle import LIVE
from controller.models import GpuSession, Run, RunEvent, SessionEvent
from controller.services.deps import Deps
from controller.services.sessions import ends, life, start_times
from controller.services.sessions.reads import view
from controller.services.sessions.views import SessionView

ENDED_BY_OPERATOR = "ended by the operator"


@dataclass(frozen=True)
class SessionLine:
    """A session and whose it is."""

    wallet: str
    session: SessionView


@dataclass(frozen=True)
class SessionStory:
    """One session with everything that happened to it. `runs` have their state, error code and timings."""

    wallet: str
    session: SessionView
    slot: str | None
    events: list[dict[str, Any]]
    runs: list[dict[str, Any]]


def list_sessions(deps: Deps, *, live_only: bool = True, limit: int = 100) -> list[SessionLine]:
    """Sessions, newest claim first."""
    query = select(GpuSession).order_by(col(GpuSession.claimed_at_ms).desc()).limit(limit)
    if live_only:
        query = query.where(col(GpuSession.state).in_(sorted(LIVE)))
    with deps.database.begin() as db:
        return [SessionLine(row.wallet, view(db, row)) for row in db.exec(query).all()]


def live_by_kind(db: Session) -> dict[tuple[str, str], int]:
    """How many sessions are live, by kind (`desktop`, `shell`) and state."""
    live = select(GpuSession.kind, GpuSession.state, func.count()).where(
        col(GpuSession.state).in_(sorted(LIVE))
    )
    found = db.exec(live.group_by(GpuSession.kind, GpuSession.state)).all()
    return {("shell" if kind == "ssh" else kind, state): count for kind, state, count in found}


def story(deps: Deps, session_id: str) -> SessionStory:
    """One session with its events and runs.

    Raises:
        NotYours: there is no such session.
    """
    with deps.database.begin() as db:
        row = life.lock(db, session_id)
        events = db.exec(
            select(SessionEvent).where(SessionEvent.session_id == row.id).order_by(col(SessionEvent.id))
        ).all()
        runs = db.exec(select(Run).where(Run.session_id == row.id).order_by(col(Run.id))).all()
        return SessionStory(
            row.wallet,
            view(db, row),
            row.slot_id,
            [e.model_dump(include={"at_ms", "event", "from_state", "to_state"}) for e in events],
            [
                _told(db, row, r)
                | r.model_dump(
                    include={"id", "playbook", "host", "state", "attempts", "error_code", "result"}
                    | {"created_at_ms", "started_at_ms", "finished_at_ms", "way", "way_why", "timings"}
                )
                for r in runs
            ],
        )


def _told(db: Session, row: GpuSession, run: Run) -> dict[str, Any]:
    """What a run's record says beyond its row: which events it has, and where a start's time went."""
    kinds = select(RunEvent.event).where(RunEvent.run_id == run.id, RunEvent.attempt == run.attempts)
    found: dict[str, Any] = {"events": sorted(set(db.exec(kinds)))}
    if stages := start_times.of_run(row, run):
        found |= {"stages": stages, "start": start_times.kind_of(run)}
    return found


def end_any(deps: Deps, session_id: str) -> SessionView:
    """The operator ends a session, whoever owns it.

    Raises:
        NotYours: there is no such session.
    """
    with deps.database.begin() as db:
        wallet = life.lock(db, session_id).wallet
    return ends.end(deps, wallet, session_id, ENDED_BY_OPERATOR)

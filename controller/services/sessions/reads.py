"""Reads of sessions: the live one, the resume panel, and a session as a view."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import func
from sqlmodel import Session, col, select

from controller.domain.idle import told_end_ms
from controller.domain.lifecycle import FINAL, LIVE
from controller.domain.metering import exhausts_at
from controller.models import GpuSession, Run, RunEvent, WarmDesktop
from controller.services.deps import Deps
from controller.services.money import ledger
from controller.services.money.metering import billed_gpu_ms
from controller.services.queue import views as queue_views
from controller.services.runs.orders import START
from controller.services.sessions.end_words import ADVICE
from controller.services.sessions.views import SavedView, SessionView
from controller.services.shells import access as ssh_access


def current(deps: Deps, wallet: str) -> SessionView | None:
    """The wallet's live session, queued to ending; None if there is none."""
    with deps.database.begin() as db:
        query = select(GpuSession).where(GpuSession.wallet == wallet, col(GpuSession.state).in_(sorted(LIVE)))
        row = db.exec(query).first()
        if row is None:
            return None
        notice_ms = deps.settings.idle.notice_minutes * 60_000
        until = told_end_ms(row.active_at_ms, row.idle_noticed_at_ms, notice_ms)
        seen = replace(view(db, row), idle_ends_at_ms=until)
        return queue_views.told(db, row, seen, deps.clock.now_ms())


def saved(deps: Deps, wallet: str) -> SavedView | None:
    """What the resume panel offers: the last session that got GPUs, while nothing is live."""
    with deps.database.begin() as db:
        query = (
            select(GpuSession)
            .where(GpuSession.wallet == wallet, col(GpuSession.starting_at_ms).is_not(None))
            .order_by(col(GpuSession.starting_at_ms).desc())
        )
        row = db.exec(query).first()
    if row is None or row.state not in FINAL or row.ended_at_ms is None:
        return None
    reason = row.end_reason or ""
    return SavedView(row.profile, row.kind, row.ended_at_ms, reason, ADVICE.get(reason, ""))


def view(db: Session, row: GpuSession) -> SessionView:
    """A session's row as pages and API see it."""
    queued = row.state == "queued"
    return SessionView(
        id=row.id,
        state=row.state,
        profile=row.profile,
        gpus=row.gpus,
        burn_rate=row.gpus,
        detached=row.detached,
        queue_position=_position(db, row) if queued else None,
        queue_reason=row.why if queued else "",
        claimed_at_ms=row.claimed_at_ms,
        ready_at_ms=row.ready_at_ms,
        grace_until_ms=row.grace_until_ms,
        stage=_stage(db, row) if row.state == "starting" else "",
        why=row.end_reason or row.why,
        billed_gpu_ms=billed_gpu_ms(db, row.id),
        kind=row.kind,
        opened_at_ms=row.opened_at_ms,
        idle_minutes=row.idle_minutes,
        ssh=ssh_access.address(db, row) if row.kind == "ssh" and row.state in LIVE else None,
        ends_at_ms=_ends_at_ms(db, row),
        gpu_model=row.gpu_model,
    )


def _ends_at_ms(db: Session, row: GpuSession) -> int | None:
    """When it ends unless its wallet pays, its guarantee left aside."""
    if row.state == "grace":
        return row.grace_until_ms
    if row.state != "running" or row.billed_to_ms is None:
        return None
    return exhausts_at(row.billed_to_ms, ledger.balance(db, row.wallet).gpu_ms, row.gpus)


def _position(db: Session, row: GpuSession) -> int:
    """Place in the queue, from 1, in order of arrival."""
    earlier = (col(GpuSession.claimed_at_ms) < row.claimed_at_ms) | (
        (col(GpuSession.claimed_at_ms) == row.claimed_at_ms) & (col(GpuSession.id) < row.id)
    )
    query = select(func.count()).select_from(GpuSession).where(GpuSession.state == "queued", earlier)
    return db.exec(query).one() + 1


def _stage(db: Session, row: GpuSession) -> str:
    """A short sentence on where the start is."""
    run = db.exec(
        select(Run).where(Run.session_id == row.id, Run.playbook == START).order_by(col(Run.id).desc())
    ).first()
    if run is None or run.state == "queued":
        return "Waiting for a worker"
    began = select(RunEvent).where(RunEvent.run_id == run.id, RunEvent.event == "playbook_on_task_start")
    if db.exec(began).first() is None:
        return "Preparing the run"
    waited = db.exec(select(WarmDesktop.slot_id).where(WarmDesktop.slot_id == row.slot_id)).first()
    if row.kind == "ssh":
        return "Starting your shell"
    return "Bringing your files to a desktop that was waiting" if waited else "Starting the desktop"

"""What comes due by itself: exhausted balances, top-ups in grace, ends after close or absence, warnings.

Each session is handled in a transaction of its own, looked at again under its lock. The instants are
computed, so a late look changes nothing on the bill.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.domain import lifecycle, metering
from controller.domain.profiles import GPU_MS_PER_MINUTE
from controller.models import DesktopWarning, GpuSession
from controller.services import ends, grace, ledger, life
from controller.services.deps import Deps
from controller.services.metering import leave_unbilled, proof_ms, settle

# Sessions worth a look; what is really due is decided in the domain, under the row's lock.
_CANDIDATES = text(
    """
    SELECT s.id FROM gpu_session s
    JOIN slot ON slot.id = s.slot_id
    LEFT JOIN account a ON a.code = 'user:' || s.wallet
    WHERE (s.state IN ('running', 'grace') AND (
              s.closed_at_ms + :reconnect <= :now
              OR s.grace_until_ms <= :now
              OR (NOT s.detached AND s.seen_at_ms + :absence <= :now)))
       OR (s.state = 'running' AND floor(greatest(coalesce(a.credits - a.debits, 0), 0) / s.gpus)
              <= slot.last_alive_ms - s.billed_to_ms)
       OR (s.state = 'grace' AND a.credits - a.debits >= s.gpus * :minute)
    ORDER BY s.id
    """
)
_LOW = text(
    """
    SELECT s.id, s.gpus, a.credits, (a.credits - a.debits) / s.gpus - (:now - s.billed_to_ms) AS left_ms
    FROM gpu_session s JOIN account a ON a.code = 'user:' || s.wallet
    WHERE s.state = 'running'
      AND (a.credits - a.debits) / s.gpus - (:now - s.billed_to_ms) <= :most
    """
)


def expire(deps: Deps) -> int:
    """Do everything that is due now.

    Returns:
        how many sessions changed.
    """
    limits, now = deps.settings.sessions, deps.clock.now_ms()
    values = {
        "now": now,
        "reconnect": limits.reconnect_window_s * 1000,
        "absence": limits.absence_s * 1000,
        "minute": GPU_MS_PER_MINUTE,
    }
    with deps.database.begin() as db:
        ids = list(db.connection().execute(_CANDIDATES, values).scalars())
    return sum(_look_at(deps, session_id) for session_id in ids)


def resume_paid(deps: Deps, wallet: str) -> int:
    """Return a wallet's sessions from grace right after its deposit was credited; how many changed."""
    waiting = select(GpuSession.id).where(GpuSession.wallet == wallet, GpuSession.state == "grace")
    with deps.database.begin() as db:
        ids = list(db.exec(waiting.order_by(col(GpuSession.id))))
    return sum(_look_at(deps, session_id) for session_id in ids)


def warn(deps: Deps) -> int:
    """Write low-balance warnings that have come due, each threshold once per top-up.

    Returns:
        how many were written.
    """
    thresholds = deps.settings.sessions.warn_minutes
    if not thresholds:
        return 0
    now = deps.clock.now_ms()
    written = 0
    with deps.database.begin() as db:
        for row in db.connection().execute(_LOW, {"now": now, "most": max(thresholds) * 60_000}).all():
            reached = metering.warning_threshold(int(row.left_ms), thresholds)
            if reached is not None:
                # Credits only ever grow by top-ups: the same figure is the same top-up.
                key = f"{row.id}:{int(row.credits)}:{reached}"
                written += _write_warning(db, row.id, key, reached, now)
    return written


def _look_at(deps: Deps, session_id: str) -> bool:
    with deps.database.begin() as db:
        row = life.lock(db, session_id)
        now = deps.clock.now_ms()
        changed = _exhaust(deps, db, row, now) or _resume(db, row, now)
        return _end_if_due(deps, db, row, now) or changed


def _end_if_due(deps: Deps, db: Session, row: GpuSession, now: int) -> bool:
    limits = deps.settings.sessions
    due = lifecycle.due(
        life.life_of(row),
        now,
        reconnect_ms=limits.reconnect_window_s * 1000,
        absence_ms=limits.absence_s * 1000,
    )
    if due:
        ends.begin_end(db, row, due[0], due[1], now)
    return due is not None


def _exhaust(deps: Deps, db: Session, row: GpuSession, now: int) -> bool:
    """Running -> grace (or the end, where the wallet had it) at the very instant the balance was used up.

    Not before there is proof of life up to that instant.
    """
    if row.state != "running" or row.billed_to_ms is None:
        return False
    absence_ms = deps.settings.sessions.absence_s * 1000
    settle(db, row, now, absence_ms)
    at = metering.exhausts_at(row.billed_to_ms, ledger.balance(db, row.wallet).gpu_ms, row.gpus)
    if at > lifecycle.billable_until(life.life_of(row), proof_ms(db, row), absence_ms):
        return False
    grace_ms = deps.settings.sessions.grace_minutes * 60_000
    if not grace.granted(db, row.wallet):
        ends.begin_end(db, row, at, grace.NONE_LEFT, now)
        return True
    life.write(db, row, lifecycle.exhausted(life.life_of(row), at, grace_ms))
    return True


def _resume(db: Session, row: GpuSession, now: int) -> bool:
    """Grace -> running when at least a minute has been paid for."""
    if row.state != "grace" or row.billed_to_ms is None:
        return False
    if ledger.balance(db, row.wallet).available_gpu_ms < row.gpus * GPU_MS_PER_MINUTE:
        return False
    leave_unbilled(db, row, now, "grace")
    life.write(db, row, lifecycle.topped_up(life.life_of(row), now))
    return True


def _write_warning(db: Session, session_id: str, key: str, minutes: int, now: int) -> int:
    urgent = minutes <= 3
    values = {
        "session_id": session_id,
        "key": key,
        "text": f"Less than {minutes} minutes of credit left. Top up on the AxonOS page to keep going.",
        "urgency": "critical" if urgent else "normal",
        "created_at_ms": now,
    }
    made = insert(DesktopWarning).values(**values).on_conflict_do_nothing(index_elements=["key"])
    return len(db.execute(made.returning(col(DesktopWarning.id))).all())

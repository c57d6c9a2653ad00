"""What comes due by itself: exhausted balances, top-ups in grace, ends after close or absence, or unopened.

Each session is handled in a transaction of its own, looked at again under its lock. The instants are
computed, so a late look changes nothing on the bill.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session, col, select

from controller.domain import lifecycle, metering
from controller.domain.profiles import GPU_MS_PER_MINUTE
from controller.models import GpuSession
from controller.services.deps import Deps
from controller.services.money import ledger
from controller.services.money.metering import leave_unbilled, proof_ms, settle
from controller.services.sessions import ends, grace, life, unopened

# Sessions worth a look; what is really due is decided in the domain, under the row's lock.
_CANDIDATES = text(
    """
    SELECT s.id FROM gpu_session s
    LEFT JOIN slot ON slot.id = s.slot_id
    LEFT JOIN account a ON a.code = 'user:' || s.wallet
    WHERE (s.state IN ('running', 'grace') AND (
              s.closed_at_ms + :reconnect <= :now
              OR s.grace_until_ms <= :now
              OR (NOT s.detached AND s.seen_at_ms + :absence <= :now)))
       OR (s.state = 'running' AND floor(greatest(coalesce(a.credits - a.debits, 0), 0) / s.gpus)
              <= slot.last_alive_ms - s.billed_to_ms)
       OR (s.state IN ('running', 'grace') AND s.opened_at_ms IS NULL
           AND s.ready_at_ms + :open_within <= slot.last_alive_ms)
       OR (s.state = 'queued' AND NOT s.detached AND s.seen_at_ms + :keep <= :now)
       OR (s.state = 'grace' AND a.credits - a.debits >= s.gpus * :minute)
    ORDER BY s.id
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
        "open_within": deps.settings.queue.open_within_minutes * 60_000,
        "keep": deps.settings.queue.keep_without_browser_minutes * 60_000,
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


def _look_at(deps: Deps, session_id: str) -> bool:
    with deps.database.begin() as db:
        row = life.lock(db, session_id)
        now = deps.clock.now_ms()
        if _give_up(deps, db, row, now):
            return True
        changed = _exhaust(deps, db, row, now) or _resume(db, row, now)
        return end_if_due(deps, db, row, now) or changed


def _give_up(deps: Deps, db: Session, row: GpuSession, now: int) -> bool:
    """A claim whose page is gone leaves the queue after a while; a session nobody opens ends soon."""
    queue, now_is = deps.settings.queue, life.life_of(row)
    keep_ms = queue.keep_without_browser_minutes * 60_000
    if lifecycle.given_up(now_is, now, keep_ms):
        ends.begin_end(db, row, now, f"no page was open for it for {keep_ms // 60_000} minutes", now)
        return True
    if row.state not in lifecycle.UP:
        return False
    at = lifecycle.unopened(now_is, proof_ms(db, row), queue.open_within_minutes * 60_000)
    due = lifecycle.due(now_is, now, **_limits(deps))
    if at is None or (due is not None and due[0] < at):
        return False
    unopened.end(deps, db, row, at, now)
    return True


def _limits(deps: Deps) -> dict[str, int]:
    limits = deps.settings.sessions
    return {"reconnect_ms": limits.reconnect_window_s * 1000, "absence_ms": limits.absence_s * 1000}


def end_if_due(deps: Deps, db: Session, row: GpuSession, now: int) -> bool:
    """End a locked session whose time is up by itself; whether it was."""
    due = lifecycle.due(life.life_of(row), now, **_limits(deps))
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

"""A page's heartbeat: presence, settlement up to now, and the meter as its footer shows it.

Thousands of pages beat, so a session is read by one statement and written by one, past the ORM; what both
mean is decided where it is for everybody, in `domain/lifecycle` and `metering.charge`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from controller.domain import lifecycle, tabs
from controller.domain.idle import told_end_ms
from controller.domain.metering import minutes_left
from controller.errors import NotYours, ShownElsewhere
from controller.services.deps import Deps
from controller.services.durability import LAZILY
from controller.services.money import ledger, metering
from controller.services.sessions import life
from controller.services.sessions.presence import PROGRAM, Tab
from controller.services.sessions.views import Meter

_LOCKED = text(
    f"""
    SELECT s.id, s.wallet, s.profile, s.kind, s.gpus, s.shown_by, s.watched_at_ms, s.active_at_ms,
           s.idle_noticed_at_ms, {", ".join(f"s.{name}" for name in life.FIELDS)},
           greatest(coalesce(slot.last_alive_ms, 0), coalesce(s.ready_at_ms, 0)) AS proof_ms,
           CASE WHEN p.until_ms < p.bound_ms THEN p.until_ms END AS guaranteed_until_ms, {LAZILY}
    FROM gpu_session s LEFT JOIN slot ON slot.id = s.slot_id LEFT JOIN queue_place p ON p.session_id = s.id
    WHERE s.id = :id AND s.wallet = :wallet FOR NO KEY UPDATE OF s
    """  # noqa: S608 - column names of this program only
)
# What a session has cost is what lies before its mark, less what was left unbilled: windows touch.
_KEEP = text(
    """
    UPDATE gpu_session SET seen_at_ms = :seen, closed_at_ms = :closed, watched_at_ms = :watched,
                           billed_to_ms = :mark
    WHERE id = :id RETURNING gpus * (coalesce(billed_to_ms - ready_at_ms, 0) - coalesce((
        SELECT sum(to_ms - from_ms) FROM usage_window WHERE session_id = :id AND kind <> 'used'), 0))
    """
)


def heartbeat(deps: Deps, wallet: str, session_id: str, tab: Tab = PROGRAM) -> Meter:
    """A page is watching: presence, and settlement of this session up to now.

    The browser sends no duration; only the server's clock and the host's proof of life count. A tab that
    only looks keeps no desktop from being closed.

    Raises:
        NotYours: no such session of this wallet.
        ShownElsewhere: another tab has taken the desktop over.
    """
    with deps.database.begin() as db:
        row = db.connection().execute(_LOCKED, {"id": session_id, "wallet": wallet}).first()
        if row is None:
            raise NotYours
        now = deps.clock.now_ms()
        seen, watched = _seen(row, tab, now)
        mark, balance = _settle(db, row, seen, now)
        kept = {
            "id": row.id,
            "seen": seen.seen_at_ms,
            "closed": seen.closed_at_ms,
            "watched": watched,
            "mark": mark,
        }
        billed = int(db.connection().execute(_KEEP, kept).scalar_one())
    return _meter(deps, row, now, {"billed_gpu_ms": billed, "balance_gpu_ms": balance, "watched_ms": watched})


def _seen(row: Row[Any], tab: Tab, now_ms: int) -> tuple[lifecycle.Life, int | None]:
    """The session's life after this beat, and when one that only looks was heard of."""
    before = life.life_of(row)
    if tab.looks:
        return before, now_ms
    if row.state not in lifecycle.UP | {"queued", "starting"}:
        return before, row.watched_at_ms
    if tabs.overtaken(row.shown_by, tab.id):
        raise ShownElsewhere
    return lifecycle.seen(before, now_ms), row.watched_at_ms


def _settle(db: Session, row: Row[Any], seen: lifecycle.Life, now_ms: int) -> tuple[int | None, int]:
    """The new mark, and the wallet's balance."""
    if row.state != "running" or row.billed_to_ms is None:
        return row.billed_to_ms, ledger.balance(db, row.wallet).gpu_ms
    payer = metering.Payer(row.id, row.wallet, row.profile, row.kind, row.gpus)
    until = lifecycle.billable_until(seen, row.proof_ms)
    return metering.charge(db, payer, row.billed_to_ms, until, now_ms)


def _meter(deps: Deps, row: Row[Any], now_ms: int, is_now: dict[str, Any]) -> Meter:
    limits = deps.settings.sessions
    minutes = minutes_left(is_now["balance_gpu_ms"], row.gpus)
    notice_ms = deps.settings.idle.notice_minutes * 60_000
    present_ms = tabs.PRESENT_BEATS * limits.heartbeat_s * 1000
    return Meter(
        state=row.state,
        billed_gpu_ms=is_now["billed_gpu_ms"],
        balance_gpu_ms=is_now["balance_gpu_ms"],
        burn_rate=row.gpus,
        minutes_left=minutes,
        server_now_ms=now_ms,
        low_balance=row.state in lifecycle.UP and minutes < max(limits.warn_minutes, default=0),
        idle_ends_at_ms=told_end_ms(row.active_at_ms, row.idle_noticed_at_ms, notice_ms),
        silent_ms=max(0, now_ms - row.proof_ms) if row.state in lifecycle.UP else 0,
        watched=now_ms - (is_now["watched_ms"] or 0) <= present_ms,
        guaranteed_until_ms=row.guaranteed_until_ms,
    )

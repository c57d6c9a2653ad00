"""Homes whose wallets run out: warned days ahead, put away, brought back when paid, deleted in the end.

Nothing happens in silence: each step is an event of the home, warnings are on the page and in the desktop.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.domain.lifecycle import LIVE
from controller.domain.storage_fee import DAY_MS, UNITS_PER_GPU_MS, days_left
from controller.models import DesktopWarning, GpuSession, Home, HomeEvent
from controller.services.deps import Deps
from controller.services.homes import orders as home_orders
from controller.services.homes import storage_bills
from controller.services.money import ledger

REST_MS = 3_600_000  # between two tries of an order that failed
_CANDIDATES = text(
    """
    SELECT h.wallet FROM home h LEFT JOIN account a ON a.code = 'user:' || h.wallet
    WHERE (h.state = 'live' AND (h.warned_at_ms IS NOT NULL
              OR (coalesce(a.credits - a.debits, 0) - :floor) * :unit
                 <= h.bytes_used::numeric * :rate * :ahead AND h.bytes_used > 0 AND :rate > 0))
       OR (h.state = 'pruned' AND (h.recovery_until_ms <= :now OR a.credits - a.debits > 0))
    ORDER BY h.wallet"""
)


def look(deps: Deps) -> int:
    """Do all that is due for homes; the worker calls this now and then.

    Returns:
        for how many homes something was done.
    """
    rules = deps.settings.storage
    asked = {
        "floor": rules.floor_gpu_ms,
        "unit": UNITS_PER_GPU_MS,
        "rate": rules.gpu_ms_per_gb_hour,
        "ahead": (rules.warn_days + 1) * DAY_MS,
        "now": deps.clock.now_ms(),
    }
    with deps.database.begin() as db:
        wallets = list(db.connection().execute(_CANDIDATES, asked).scalars())
    return sum(_look_at(deps, wallet) for wallet in wallets)


def left_days(deps: Deps, db: Session, home: Home) -> int | None:
    """Whole days until storage alone has taken the balance to its floor; None where it never does."""
    rules = deps.settings.storage
    room = ledger.balance(db, home.wallet).gpu_ms - rules.floor_gpu_ms
    return days_left(room, home.bytes_used, rules.gpu_ms_per_gb_hour)


def _look_at(deps: Deps, wallet: str) -> bool:
    with deps.database.begin() as db:
        home = home_orders.locked_any(db, wallet)
        now = deps.clock.now_ms()
        if home.state == "pruned":
            return _after(db, home, now)
        if home.state != "live":
            return False
        days = left_days(deps, db, home)
        if days is None or days > deps.settings.storage.warn_days:
            return _relax(db, home, now)
        warned = _warn(deps, db, home, days, now)
        return _prune(deps, db, home, now) or warned


def _relax(db: Session, home: Home, now: int) -> bool:
    if home.warned_at_ms is None:
        return False
    home.warned_at_ms = None
    home_orders.tell(db, home, "warning_over", home_orders.PLATFORM, now)
    return True


def _warn(deps: Deps, db: Session, home: Home, days: int, now: int) -> bool:
    first = home.warned_at_ms is None
    if first:
        home.warned_at_ms = now
        home_orders.tell(db, home, "warned", home_orders.PLATFORM, now, days=days, bytes=home.bytes_used)
    up = select(GpuSession.id).where(
        GpuSession.wallet == home.wallet, col(GpuSession.state).in_(("running", "grace"))
    )
    for session in db.exec(up):
        said = f"In {max(days, deps.settings.storage.notice_days)} days your files are put away for storage."
        values = {
            "session_id": session,
            "key": f"storage:{session}:{home.warned_at_ms}",
            "text": f"{said} Top up, or delete what you do not need.",
            "urgency": "critical",
            "created_at_ms": now,
        }
        db.exec(insert(DesktopWarning).values(**values).on_conflict_do_nothing())
    return first


def _prune(deps: Deps, db: Session, home: Home, now: int) -> bool:
    """Put a home away whose balance is at the floor, long enough after the warning; never one in use."""
    rules = deps.settings.storage
    assert home.warned_at_ms is not None
    if now < home.warned_at_ms + rules.notice_days * DAY_MS or not _is_at_floor(deps, db, home):
        return False
    if storage_bills.has_live_session(db, home.wallet, sorted(LIVE)):
        return False
    return _order(db, home, "prune", now)


def _is_at_floor(deps: Deps, db: Session, home: Home) -> bool:
    """Whether not another hour of storage can be charged."""
    rules = deps.settings.storage
    room = ledger.balance(db, home.wallet).gpu_ms - rules.floor_gpu_ms
    return room * UNITS_PER_GPU_MS < home.bytes_used * rules.gpu_ms_per_gb_hour * 3_600_000


def _after(db: Session, home: Home, now: int) -> bool:
    """A home that was put away comes back once its wallet owes nothing, and goes when its time is over."""
    if ledger.balance(db, home.wallet).gpu_ms > 0 and _put_away_by(db, home) == home_orders.PLATFORM:
        return _order(db, home, "recover", now)
    if home.recovery_until_ms is not None and now >= home.recovery_until_ms:
        return _order(db, home, "delete", now)
    return False


def _put_away_by(db: Session, home: Home) -> str | None:
    """What an operator put away comes back when its owner or an operator says so."""
    query = select(HomeEvent.actor).where(HomeEvent.wallet == home.wallet, HomeEvent.event == "prune")
    return db.exec(query.order_by(col(HomeEvent.id).desc()).limit(1)).first()


def _order(db: Session, home: Home, what: str, now: int) -> bool:
    failed = select(HomeEvent.id).where(
        HomeEvent.wallet == home.wallet, HomeEvent.event == f"{what}_failed", HomeEvent.at_ms > now - REST_MS
    )
    if home_orders.is_busy(db, home) or db.exec(failed).first() is not None:
        return False
    home_orders.give(db, home, what, now, home_orders.PLATFORM)
    return True

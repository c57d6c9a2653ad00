"""Charges homes for the time they lie there: each stretch once, down to the floor, with its why.

Rules are in `domain/storage_fee`; this module reads, posts and writes. Whoever settles a home holds its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session, col, select

from controller.domain.ledger import storage_key, user_account
from controller.domain.storage_fee import SETTLE_LAG_MS, Mark, Stretch, settle
from controller.models import GpuSession, Home, StorageWindow
from controller.services.deps import Deps
from controller.services.money import ledger
from controller.settings_storage import Storage

USED = "used:storage"
CHARGED_STATES = ("live", "restoring", "pruning")
AT_ONCE = 100
_SESSIONS = text(
    """
    SELECT state, coalesce(ready_at_ms, starting_at_ms) AS from_ms, ended_at_ms FROM gpu_session
    WHERE wallet = :wallet AND coalesce(ready_at_ms, starting_at_ms) IS NOT NULL
      AND (ended_at_ms IS NULL OR (ended_at_ms > :since AND ready_at_ms IS NOT NULL))"""
)


@dataclass(frozen=True)
class Sessions:
    """When sessions of a wallet ran: those that are over, and since when one runs now."""

    over: list[tuple[int, int]]
    running_since_ms: int | None


def bill(deps: Deps) -> int:
    """Charge every home that has not been charged for a while; the worker calls this all the time.

    Returns:
        how many homes were settled.
    """
    now, every_ms = deps.clock.now_ms(), deps.settings.storage.settle_minutes * 60_000
    due = (
        select(Home)
        .where(
            col(Home.state).in_(CHARGED_STATES),
            col(Home.billed_to_ms) <= col(Home.measured_at_ms) - every_ms,
            col(Home.billed_to_ms) <= now - SETTLE_LAG_MS - every_ms,
        )
        .order_by(col(Home.billed_to_ms))
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, key_share=True)
    )
    with deps.database.begin() as db:
        homes = list(db.exec(due))
        return settle_all(deps, db, [(home, home.measured_at_ms) for home in homes])


def settle_all(deps: Deps, db: Session, homes: Iterable[tuple[Home, int]]) -> int:
    """Charge locked homes, each up to an instant at most, in one batch of the journal.

    Args:
        deps: ports.
        db: open transaction that holds the homes' rows.
        homes: with the instant up to which each was seen at its size.

    Returns:
        how many marks moved.
    """
    rules, now = deps.settings.storage, deps.clock.now_ms()
    ledger.lock_journal(db)  # so that no balance can move before it is charged
    windows: list[StorageWindow] = []
    moved = 0
    for home, until_ms in homes:
        found = _windows(db, rules, home, min(until_ms, now - SETTLE_LAG_MS))
        moved += bool(found)
        windows += found
    ledger.post(db, at_ms=now, transfers=[_posting(w) for w in windows if w.gpu_ms])
    db.add_all(windows)
    db.flush()
    return moved


def leave_free(db: Session, home: Home, to_ms: int, kind: str, rules: Storage) -> None:
    """Write down that a locked home is not charged from its mark to `to_ms`, and move the mark."""
    if to_ms > home.billed_to_ms:
        free = Stretch(home.billed_to_ms, to_ms, "gap", 0, home.remainder)
        window = _window(home, free, rules)
        window.kind = kind
        db.add(window)
        _move(db, home, free)
        db.flush()


def sessions(db: Session, wallet: str, since_ms: int, rules: Storage) -> Sessions:
    """The sessions that make a home's time free; none where storage is billed always."""
    if rules.billed == "always":
        return Sessions([], None)
    found = db.connection().execute(_SESSIONS, {"wallet": wallet, "since": since_ms}).all()
    over = [(row.from_ms, row.ended_at_ms) for row in found if row.ended_at_ms is not None]
    return Sessions(over, min((row.from_ms for row in found if row.ended_at_ms is None), default=None))


def has_live_session(db: Session, wallet: str, states: Sequence[str]) -> bool:
    """Whether a session of the wallet is in one of these states."""
    query = select(GpuSession.id).where(GpuSession.wallet == wallet, col(GpuSession.state).in_(states))
    return db.exec(query).first() is not None


def _windows(db: Session, rules: Storage, home: Home, until_ms: int) -> list[StorageWindow]:
    ran = sessions(db, home.wallet, home.billed_to_ms, rules)
    if ran.running_since_ms is not None:
        until_ms = min(until_ms, ran.running_since_ms)
    room = ledger.balance(db, home.wallet).gpu_ms - rules.floor_gpu_ms
    mark = Mark(home.billed_to_ms, home.remainder, home.bytes_used, rules.gpu_ms_per_gb_hour, room)
    found = settle(mark, until_ms, ran.over)
    at_ms = found[-1].to_ms if found else home.billed_to_ms
    if at_ms < until_ms:  # the room is used up: what lies beyond the floor is not charged, nor later
        remainder = found[-1].remainder if found else home.remainder
        found.append(Stretch(at_ms, until_ms, "floor", 0, remainder))
    made = [_window(home, stretch, rules) for stretch in found]
    for stretch in found:
        _move(db, home, stretch)
    return made


def _move(db: Session, home: Home, stretch: Stretch) -> None:
    home.billed_to_ms, home.remainder = stretch.to_ms, stretch.remainder
    db.add(home)


def _window(home: Home, stretch: Stretch, rules: Storage) -> StorageWindow:
    return StorageWindow(
        wallet=home.wallet,
        from_ms=stretch.from_ms,
        to_ms=stretch.to_ms,
        bytes=home.bytes_used,
        kind=stretch.kind,
        rate=rules.gpu_ms_per_gb_hour,
        billed=rules.billed,
        floor_gpu_ms=rules.floor_gpu_ms,
        gpu_ms=stretch.gpu_ms,
        remainder=stretch.remainder,
        transfer_key=storage_key(home.wallet, stretch.from_ms) if stretch.gpu_ms else None,
    )


def _posting(window: StorageWindow) -> ledger.Posting:
    told = ("from_ms", "to_ms", "bytes", "rate", "billed", "floor_gpu_ms", "remainder")
    return ledger.Posting(
        key=storage_key(window.wallet, window.from_ms),
        kind="storage",
        debit=user_account(window.wallet),
        credit=USED,
        amount=int(window.gpu_ms),
        evidence={name: getattr(window, name) for name in told},
        may_overdraw=True,
    )

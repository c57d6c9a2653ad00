"""The meter: heartbeat, tick and end move the same mark, `billed_to_ms`, and post what lies before it.

Rules are in `domain/metering` and `domain/lifecycle.billable_until`; this module reads, posts and writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from controller.domain import metering
from controller.domain.ledger import use_key, user_account
from controller.domain.lifecycle import Life, billable_until
from controller.domain.metering import Kind, Window
from controller.models import GpuSession, Slot, UsageWindow
from controller.models.seal import seal_of
from controller.services import locks
from controller.services.columns import numbers, words
from controller.services.deps import Deps
from controller.services.money import ledger
from controller.services.sessions.life import life_of

USED = "used:compute"

_RUNNING = text(
    """
    SELECT s.id, s.wallet, s.profile, s.kind, s.gpus, s.billed_to_ms, s.bill_until_ms, s.closed_at_ms,
           s.detached, s.seen_at_ms,
           slot.last_alive_ms, a.id, a.debits, a.credits
    FROM gpu_session s
    JOIN slot ON slot.id = s.slot_id
    JOIN account a ON a.code = 'user:' || s.wallet
    WHERE s.state = 'running' AND slot.last_alive_ms > s.billed_to_ms
    ORDER BY s.id FOR NO KEY UPDATE OF s SKIP LOCKED
    """
)
_MOVE_MARKS = text(
    """
    UPDATE gpu_session s SET billed_to_ms = m.mark
    FROM unnest(CAST(:ids AS text[]), CAST(:marks AS bigint[])) AS m(id, mark) WHERE s.id = m.id
    """
)
_WRITE_WINDOWS = text(
    """
    INSERT INTO usage_window (session_id, from_ms, to_ms, gpus, kind, transfer_key, seal)
    SELECT * FROM unnest(CAST(:session_id AS text[]), CAST(:from_ms AS bigint[]), CAST(:to_ms AS bigint[]),
                         CAST(:gpus AS int[]), CAST(:kind AS text[]), CAST(:transfer_key AS text[]),
                         CAST(:seal AS text[]))
    """
)


@dataclass(frozen=True)
class Payer:
    """A session as its charges name it, and who pays."""

    id: str
    wallet: str
    profile: str
    kind: str
    gpus: int


@dataclass(frozen=True)
class Metered:
    """What one session is charged for now."""

    payer: Payer
    window: Window


def settle(db: Session, row: GpuSession, now_ms: int, absence_ms: int | None = None) -> None:
    """Charge a locked session up to its last proof of life; nothing where there is nothing to charge.

    Its slot is locked before the books: whoever holds a slot may be waiting for them.

    Args:
        db: open transaction that holds the session's row.
        row: in any state; only running and ending sessions have billable time.
        now_ms: server clock, for the journal's date.
        absence_ms: as in `lifecycle.billable_until`.
    """
    if row.state not in ("running", "ending") or row.billed_to_ms is None:
        return
    db.exec(select(Slot.id).where(Slot.id == row.slot_id).with_for_update(key_share=True)).first()
    until = billable_until(life_of(row), proof_ms(db, row), absence_ms)
    payer = Payer(row.id, row.wallet, row.profile, row.kind, row.gpus)
    mark, _ = charge(db, payer, row.billed_to_ms, until, now_ms)
    if mark > row.billed_to_ms:
        row.billed_to_ms = mark
        db.add(row)
        db.flush()


def charge(db: Session, payer: Payer, mark_ms: int, until_ms: int, now_ms: int) -> tuple[int, int]:
    """Charge a session whose row is locked from its mark on; the caller writes the new mark down.

    Args:
        db: open transaction that holds the session's row.
        payer: the session.
        mark_ms: up to when it is billed.
        until_ms: up to when it may be (`lifecycle.billable_until`).
        now_ms: server clock, for the journal's date.

    Returns:
        the new mark, and what its wallet has left.
    """
    account = user_account(payer.wallet)
    accounts = ledger.lock_accounts(db, (USED, account))  # so that the balance cannot move before
    balance = accounts.balance(account)
    window = metering.settle(mark_ms, until_ms, balance, payer.gpus)
    if window is None:
        return mark_ms, balance
    _charge(db, [Metered(payer, window)], now_ms, accounts)
    return window.to_ms, balance - window.charge_gpu_ms


def leave_unbilled(db: Session, row: GpuSession, to_ms: int, kind: Kind) -> None:
    """Write down that a locked session was not charged from its mark to `to_ms`, and move the mark."""
    assert row.billed_to_ms is not None
    window = metering.unbilled(row.billed_to_ms, to_ms, row.gpus, kind)
    if window:
        _write_windows(db, [(row.id, window)])
        row.billed_to_ms = to_ms
        db.add(row)
        db.flush()


def tick(deps: Deps) -> int:
    """Settle every running session at once; sessions somebody else is settling right now are left to them.

    Returns:
        how many sessions were charged.
    """
    now = deps.clock.now_ms()
    with deps.database.begin() as db:
        if not locks.only_one(db, "tick"):
            return 0
        accounts = ledger.lock_accounts(db, (USED,))
        metered = _due(db, accounts, deps.settings.sessions.absence_s * 1000)
        _charge(db, metered, now, accounts)
        if metered:
            ids, marks = words(m.payer.id for m in metered), numbers(m.window.to_ms for m in metered)
            db.connection().execute(_MOVE_MARKS, {"ids": ids, "marks": marks})
        return len(metered)


def proof_ms(db: Session, row: GpuSession) -> int:
    """The session's last proof of life; its ready instant until the first report."""
    found = db.exec(select(Slot.last_alive_ms).where(Slot.id == row.slot_id)).first()
    return max(found or 0, row.ready_at_ms or 0)


def billed_gpu_ms(db: Session, session_id: str) -> int:
    """What a session has cost so far."""
    cost = func.sum((col(UsageWindow.to_ms) - col(UsageWindow.from_ms)) * col(UsageWindow.gpus))
    query = select(cost).where(UsageWindow.session_id == session_id, UsageWindow.kind == "used")
    return int(db.exec(query).one() or 0)


def _due(db: Session, accounts: ledger.Accounts, absence_ms: int) -> list[Metered]:
    """Running sessions with something to charge, locked, in order of their ids.

    Their wallets' accounts are put among `accounts`: under the journal's lock nothing is posted.
    """
    left: dict[str, int] = {}
    due: list[Metered] = []
    rows: Any = db.connection().execute(_RUNNING).all()
    for name, wallet, profile, kind, gpus, mark, bill_until, closed, detached, seen, alive, *sums in rows:
        life = Life(
            state="running",
            billed_to_ms=mark,
            bill_until_ms=bill_until,
            closed_at_ms=closed,
            detached=detached,
            seen_at_ms=seen,
        )
        until = billable_until(life, alive, absence_ms)
        account = ledger.Sums(*sums)
        rest = left.get(wallet, account.left)
        window = metering.settle(mark, until, rest, gpus)
        if window:
            accounts.by_code[user_account(wallet)] = account
            left[wallet] = rest - window.charge_gpu_ms
            due.append(Metered(Payer(name, wallet, profile, kind, gpus), window))
    return due


def _charge(
    db: Session, metered: Sequence[Metered], now_ms: int, accounts: ledger.Accounts | None = None
) -> None:
    """Post used windows and write them down, in one batch; whoever calls holds the sessions' marks."""
    if not metered:
        return
    postings = [_posting(m) for m in metered]
    ledger.post(db, at_ms=now_ms, transfers=postings, accounts=accounts, are_new=True)
    _write_windows(db, [(m.payer.id, m.window) for m in metered])


def _posting(metered: Metered) -> ledger.Posting:
    payer, window = metered.payer, metered.window
    return ledger.Posting(
        key=use_key(payer.id, window.from_ms),
        kind="use",
        debit=user_account(payer.wallet),
        credit=USED,
        amount=window.charge_gpu_ms,
        evidence={
            "session": payer.id,
            "profile": payer.profile,
            "kind": payer.kind,
            "gpus": window.gpus,
            "from_ms": window.from_ms,
            "to_ms": window.to_ms,
        },
    )


def _write_windows(db: Session, windows: Sequence[tuple[str, Window]]) -> None:
    """One statement for any number of windows; a used one names its transfer."""
    keys = [use_key(owner, w.from_ms) if w.kind == "used" else None for owner, w in windows]
    seals = [
        seal_of(
            "usage_window",
            {
                "session_id": owner,
                "from_ms": w.from_ms,
                "to_ms": w.to_ms,
                "gpus": w.gpus,
                "kind": w.kind,
                "transfer_key": key,
            },
        )
        for (owner, w), key in zip(windows, keys, strict=True)
    ]
    columns = {
        "session_id": words(owner for owner, _ in windows),
        "from_ms": numbers(w.from_ms for _, w in windows),
        "to_ms": numbers(w.to_ms for _, w in windows),
        "gpus": numbers(w.gpus for _, w in windows),
        "kind": words(w.kind for _, w in windows),
        "transfer_key": words(keys),
        "seal": words(seals),
    }
    db.connection().execute(_WRITE_WINDOWS, columns)

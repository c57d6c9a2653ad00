"""The journal: append-only double entry in integer units, and the holds that keep two claims off one balance.

A transaction that posts takes the journal's lock first, so batches form one hash chain; lock no `account`
row before calling `post`, or call `lock_journal` first.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session, col, select

from controller.domain.ledger import Posting, user_account
from controller.errors import NotEnoughCredit
from controller.models import Hold
from controller.services.money.audit import audit, problems
from controller.services.money.ledger_post import Accounts, Sums, lock_accounts, lock_journal, post
from controller.services.money.statement import StatementLine, statement, statement_lines

__all__ = [
    "Accounts",
    "Balance",
    "Posting",
    "StatementLine",
    "Sums",
    "audit",
    "balance",
    "hold",
    "lock_account",
    "lock_accounts",
    "lock_journal",
    "post",
    "problems",
    "release_hold",
    "statement",
    "statement_lines",
]

_BALANCE = text("""
    SELECT a.credits - a.debits AS gpu_ms, (
        SELECT coalesce(sum(h.amount_gpu_ms), 0) FROM hold h
        WHERE h.account_id = a.id AND h.released_at_ms IS NULL) AS held
    FROM account a WHERE a.code = :code""")


@dataclass(frozen=True)
class Balance:
    """A wallet's credit in GPU-milliseconds; `gpu_ms` may be negative after a reversed deposit."""

    gpu_ms: int
    held_gpu_ms: int
    available_gpu_ms: int


def balance(db: Session, wallet: str) -> Balance:
    """What a wallet has, what of it is held, and what is left; zeros for a wallet never seen."""
    row = db.execute(_BALANCE, {"code": user_account(wallet)}).mappings().one_or_none()
    if row is None:
        return Balance(0, 0, 0)
    gpu_ms, held = int(row["gpu_ms"]), int(row["held"])
    return Balance(gpu_ms, held, gpu_ms - held)


def lock_account(db: Session, wallet: str) -> int | None:
    """Lock a wallet's account until the transaction ends, so that no hold is made meanwhile; its id.

    A transaction that posts as well takes the journal's lock first.
    """
    locked = text("SELECT id FROM account WHERE code = :code FOR UPDATE")
    found: int | None = db.execute(locked, {"code": user_account(wallet)}).scalar_one_or_none()
    return found


def hold(db: Session, wallet: str, session_id: str, amount_gpu_ms: int, now_ms: int) -> None:
    """Set credit aside for a session, so that two parallel claims cannot spend it twice.

    Args:
        db: the claim's transaction; the wallet's account stays locked until it ends.
        wallet: whose credit.
        session_id: the claim; a session has at most one open hold.
        amount_gpu_ms: how much, in GPU-milliseconds.
        now_ms: the instant written to the hold.

    Raises:
        NotEnoughCredit: less than that is available.
    """
    account_id = lock_account(db, wallet)
    available = balance(db, wallet).available_gpu_ms
    if account_id is None or available < amount_gpu_ms:
        raise NotEnoughCredit(available_gpu_ms=available, needed_gpu_ms=amount_gpu_ms)
    db.add(
        Hold(account_id=account_id, session_id=session_id, amount_gpu_ms=amount_gpu_ms, created_at_ms=now_ms)
    )
    db.flush()


def release_hold(db: Session, session_id: str, now_ms: int) -> None:
    """Give a session's hold back; nothing happens where none is open."""
    open_hold = select(Hold).where(Hold.session_id == session_id, col(Hold.released_at_ms).is_(None))
    held = db.exec(open_hold.with_for_update()).one_or_none()
    if held is not None:
        held.released_at_ms = now_ms
        db.add(held)
        db.flush()

"""The journal: append-only double entry in integer units, and the holds that keep two claims off one balance.

A transaction that posts takes the journal's lock first, so batches form one hash chain; lock no `account`
row before calling `post`, or call `lock_journal` first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from controller.domain.ledger import Posting
from controller.services.deps import Deps

__all__ = [
    "Balance",
    "Posting",
    "StatementLine",
    "audit",
    "balance",
    "hold",
    "lock_journal",
    "post",
    "release_hold",
    "statement",
]


@dataclass(frozen=True)
class Balance:
    """A wallet's credit in GPU-milliseconds; `gpu_ms` may be negative after a reversed deposit."""

    gpu_ms: int
    held_gpu_ms: int
    available_gpu_ms: int


@dataclass(frozen=True)
class StatementLine:
    """One transfer of a wallet's account, signed, with the balance it left and the reason."""

    at_ms: int
    kind: str
    gpu_ms: int
    balance_after_gpu_ms: int
    why: dict[str, Any]


def lock_journal(db: Session) -> None:
    """Wait for the journal; held until the transaction ends."""
    raise NotImplementedError


def post(db: Session, *, at_ms: int, transfers: list[Posting]) -> list[str]:
    """Append transfers as one batch; returns the keys that are new (a repeated key is no second effect).

    Raises:
        NotEnoughCredit: a user's account would go below zero; nothing is posted.
    """
    raise NotImplementedError


def balance(db: Session, wallet: str) -> Balance:
    """What a wallet has; zero for a wallet never seen."""
    raise NotImplementedError


def hold(db: Session, wallet: str, session_id: str, amount_gpu_ms: int, now_ms: int) -> None:
    """Set credit aside for a session.

    Raises:
        NotEnoughCredit: less than that is available.
    """
    raise NotImplementedError


def release_hold(db: Session, session_id: str, now_ms: int) -> None:
    """Give a session's hold back; nothing happens where none is open."""
    raise NotImplementedError


def statement(deps: Deps, wallet: str, limit: int) -> list[StatementLine]:
    """A wallet's last transfers, newest first."""
    raise NotImplementedError


def audit(deps: Deps) -> list[str]:
    """Recompute the journal; returns the problems found, none for a sound one."""
    raise NotImplementedError

"""A wallet's statement: every credit and charge with its why, and the balance each left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.ledger import user_account
from controller.services.deps import Deps

_LINES = text("""
    SELECT * FROM (
        SELECT t.id, t.at_ms, t.kind, s.signed, t.evidence, sum(s.signed) OVER (ORDER BY t.id) AS after
        FROM account a
        JOIN transfer t ON t.debit_id = a.id OR t.credit_id = a.id
        CROSS JOIN LATERAL (SELECT CASE WHEN t.credit_id = a.id THEN t.amount ELSE -t.amount END) s(signed)
        WHERE a.code = :code
    ) lines ORDER BY id DESC LIMIT :limit""")


@dataclass(frozen=True)
class StatementLine:
    """One transfer of a wallet's account, signed, with the balance it left and the reason."""

    at_ms: int
    kind: str
    gpu_ms: int
    balance_after_gpu_ms: int
    why: dict[str, Any]


def statement_lines(db: Session, wallet: str, limit: int) -> list[StatementLine]:
    """A wallet's last transfers, newest first; all of them re-add to its balance.

    Args:
        db: a transaction.
        wallet: whose account.
        limit: how many lines at most.
    """
    rows = db.execute(_LINES, {"code": user_account(wallet), "limit": limit}).mappings()
    return [
        StatementLine(r["at_ms"], r["kind"], int(r["signed"]), int(r["after"]), r["evidence"]) for r in rows
    ]


def statement(deps: Deps, wallet: str, limit: int) -> list[StatementLine]:
    """`statement_lines` in a transaction of its own."""
    with deps.database.begin() as db:
        return statement_lines(db, wallet, limit)

"""A wallet's statement: every credit and charge with its why, and the balance each left.

Three readings of the same rows: single transfers a page at a time, all of them as a stream, and entries in
which charges of one session, or of storage, that follow one another are one. Each adds up to the balance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.ledger import user_account
from controller.errors import NotYours
from controller.services.deps import Deps

PAGE = 1_000

_MINE = """
    SELECT t.id, t.at_ms, t.kind, s.signed, t.evidence, t.evidence ->> 'session' AS session
    FROM account a
    JOIN transfer t ON t.debit_id = a.id OR t.credit_id = a.id
    CROSS JOIN LATERAL (SELECT CASE WHEN t.credit_id = a.id THEN t.amount ELSE -t.amount END) s(signed)
    WHERE a.code = :code"""
_LINES = text(f"""
    SELECT * FROM (SELECT *, sum(signed) OVER (ORDER BY id) AS after FROM ({_MINE}) mine) lines
    WHERE id < :before ORDER BY id DESC LIMIT :limit""")  # noqa: S608 - text of this module only
# From a balance that is known already: no sum over all that came before.
_FURTHER = text(f"SELECT * FROM ({_MINE} AND t.id < :before) mine ORDER BY id DESC LIMIT :limit")  # noqa: S608
_ENTRIES = text(f"""
    WITH lines AS (SELECT *, sum(signed) OVER (ORDER BY id) AS after FROM ({_MINE}) mine),
    marked AS (
        SELECT *, CASE WHEN kind = lag(kind) OVER w
                            AND (kind = 'storage' OR (kind = 'use' AND lag(session) OVER w = session))
                       THEN 0 ELSE 1 END AS opens
        FROM lines WINDOW w AS (ORDER BY id)),
    grouped AS (SELECT *, sum(opens) OVER (ORDER BY id) AS entry FROM marked)
    SELECT max(id) AS id, max(at_ms) AS at_ms, min(kind) AS kind, sum(signed) AS signed, count(*) AS lines,
           (array_agg(after ORDER BY id DESC))[1] AS after,
           (array_agg(evidence ORDER BY id DESC))[1] AS newest, (array_agg(evidence ORDER BY id))[1] AS oldest
    FROM grouped GROUP BY entry HAVING max(id) < :before ORDER BY 1 DESC LIMIT :limit""")  # noqa: S608
_WINDOWS = text("""
    SELECT w.from_ms, w.to_ms, w.gpus, w.kind FROM usage_window w
    JOIN gpu_session s ON s.id = w.session_id AND s.wallet = :wallet
    WHERE w.session_id = :session AND w.from_ms < :before ORDER BY w.from_ms DESC LIMIT :limit""")
_LAST = 2**62


@dataclass(frozen=True)
class StatementLine:
    """One transfer of a wallet's account, signed, with the balance it left and the reason."""

    at_ms: int
    kind: str
    gpu_ms: int
    balance_after_gpu_ms: int
    why: dict[str, Any]
    id: int = 0


@dataclass(frozen=True)
class StatementPage:
    """Lines, newest first; `next` is what to ask for before, None after the oldest."""

    lines: list[StatementLine]
    next: int | None


@dataclass(frozen=True)
class StatementEntry:
    """One line for a reader: a transfer, or charges of one session or of storage that follow one another.

    `newest` and `oldest` are the evidence of its last and first transfer, `lines` how many there are.
    """

    id: int
    at_ms: int
    kind: str
    gpu_ms: int
    balance_after_gpu_ms: int
    newest: dict[str, Any]
    oldest: dict[str, Any]
    lines: int


@dataclass(frozen=True)
class WindowLine:
    """One stretch of a session: `used` and charged, a `gap` without proof of life, or free `grace`."""

    from_ms: int
    to_ms: int
    gpus: int
    kind: str
    gpu_ms: int


def statement_lines(db: Session, wallet: str, limit: int, before: int = _LAST) -> list[StatementLine]:
    """A wallet's last transfers, newest first; all of them re-add to its balance.

    Args:
        db: a transaction.
        wallet: whose account.
        limit: how many lines at most.
        before: only transfers with a smaller id.
    """
    asked = {"code": user_account(wallet), "limit": limit, "before": before}
    return [_line(r, int(r["after"])) for r in db.execute(_LINES, asked).mappings()]


def statement(deps: Deps, wallet: str, limit: int) -> list[StatementLine]:
    """`statement_lines` in a transaction of its own."""
    with deps.database.begin() as db:
        return statement_lines(db, wallet, limit)


def page(deps: Deps, wallet: str, before: int | None, limit: int) -> StatementPage:
    """One page of single transfers.

    Args:
        deps: ports.
        wallet: whose account.
        before: `next` of the page before; None for the newest.
        limit: how many lines, at most `PAGE`.
    """
    limit = max(1, min(limit, PAGE))
    with deps.database.begin() as db:
        found = statement_lines(db, wallet, limit + 1, before or _LAST)
    return StatementPage(found[:limit], found[limit - 1].id if len(found) > limit else None)


def export(deps: Deps, wallet: str) -> Iterator[StatementLine]:
    """Every transfer, newest first, read a page at a time; what comes meanwhile is not in it."""
    with deps.database.begin() as db:
        found = statement_lines(db, wallet, PAGE)
    while found:
        yield from found
        last = found[-1]
        asked = {"code": user_account(wallet), "before": last.id, "limit": PAGE}
        with deps.database.begin() as db:
            rows = db.execute(_FURTHER, asked).mappings().all()
        after, found = last.balance_after_gpu_ms - last.gpu_ms, []
        for r in rows:
            found.append(_line(r, after))
            after -= int(r["signed"])


def entries(deps: Deps, wallet: str, before: int | None, limit: int) -> list[StatementEntry]:
    """The statement as people read it, newest first: thousands of ticks of a session are one entry."""
    asked = {"code": user_account(wallet), "before": before or _LAST, "limit": limit}
    with deps.database.begin() as db:
        rows = db.execute(_ENTRIES, asked).mappings().all()
    return [
        StatementEntry(
            int(r["id"]),
            r["at_ms"],
            r["kind"],
            int(r["signed"]),
            int(r["after"]),
            r["newest"],
            r["oldest"],
            r["lines"],
        )
        for r in rows
    ]


def windows(deps: Deps, wallet: str, session: str, before_ms: int | None, limit: int) -> list[WindowLine]:
    """The stretches of one session of a wallet, newest first, charged and free ones.

    Raises:
        NotYours: the wallet has no such session, or it has none.
    """
    asked = {"wallet": wallet, "session": session, "before": before_ms or _LAST, "limit": limit}
    with deps.database.begin() as db:
        rows = db.execute(_WINDOWS, asked).mappings().all()
    if not rows and before_ms is None:
        raise NotYours
    return [
        WindowLine(**r, gpu_ms=-(r["to_ms"] - r["from_ms"]) * r["gpus"] if r["kind"] == "used" else 0)
        for r in rows
    ]


def _line(r: Any, after: int) -> StatementLine:
    return StatementLine(r["at_ms"], r["kind"], int(r["signed"]), after, r["evidence"], r["id"])

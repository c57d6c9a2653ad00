"""Appending to the journal: idempotent by key, floored, hash-chained, a handful of statements for any number.

`services.ledger` is the door to this module.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import RowMapping, text
from sqlmodel import Session

from controller.domain.ledger import FIRST_LINK, Posting, conflict, is_user, link, unit_of
from controller.errors import JournalConflict, NotEnoughCredit

JOURNAL_LOCK = 0x4A4F5552

_POSTED = text("""
    SELECT t.key, t.kind, d.code AS debit, c.code AS credit, t.amount
    FROM transfer t JOIN account d ON d.id = t.debit_id JOIN account c ON c.id = t.credit_id
    WHERE t.key = ANY(:keys)""")
_KNOWN_ACCOUNTS = text("SELECT code FROM account WHERE code = ANY(:codes)")
_OPEN_ACCOUNTS = text("""
    INSERT INTO account (code, unit, floored, debits, credits)
    SELECT code, unit, floored, 0, 0
    FROM unnest(CAST(:codes AS varchar[]), CAST(:units AS varchar[]), CAST(:floored AS boolean[]))
         AS n(code, unit, floored)""")
_LOCK_ACCOUNTS = text("""
    SELECT id, code, unit, debits, credits FROM account WHERE code = ANY(:codes) ORDER BY id FOR UPDATE""")
_MOVE = text("""
    UPDATE account SET debits = account.debits + n.debits, credits = account.credits + n.credits,
                       floored = n.floored
    FROM unnest(CAST(:ids AS bigint[]), CAST(:debits AS numeric[]), CAST(:credits AS numeric[]),
                CAST(:floored AS boolean[])) AS n(id, debits, credits, floored)
    WHERE account.id = n.id""")
_APPEND = text("""
    INSERT INTO transfer (key, kind, debit_id, credit_id, amount, at_ms, batch_id, evidence)
    SELECT n.key, n.kind, n.debit_id, n.credit_id, n.amount, :at_ms, :batch_id, CAST(n.evidence AS jsonb)
    FROM unnest(CAST(:keys AS varchar[]), CAST(:kinds AS varchar[]), CAST(:debits AS bigint[]),
                CAST(:credits AS bigint[]), CAST(:amounts AS numeric[]), CAST(:evidence AS text[]))
         WITH ORDINALITY AS n(key, kind, debit_id, credit_id, amount, evidence, place)
    ORDER BY n.place""")


@dataclass
class _Movement:
    debits: int = 0
    credits: int = 0
    may_overdraw: bool = False


@dataclass
class _Movements:
    by_code: dict[str, _Movement] = field(default_factory=lambda: defaultdict(_Movement))

    @classmethod
    def of(cls, postings: Iterable[Posting]) -> _Movements:
        found = cls()
        for p in postings:
            debit = found.by_code[p.debit]
            debit.debits += p.amount
            debit.may_overdraw |= p.may_overdraw
            found.by_code[p.credit].credits += p.amount
        return found


def lock_journal(db: Session) -> None:
    """Wait for the journal; held until the transaction ends. `post` does this by itself."""
    db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": JOURNAL_LOCK})


def post(db: Session, *, at_ms: int, transfers: list[Posting]) -> list[str]:
    """Append transfers as one batch, opening accounts as needed; a handful of statements for any number.

    A key that was posted before has no second effect, for ever (payments.md section 3, idempotency).

    Args:
        db: the transaction that carries the batch.
        at_ms: the instant written to every transfer.
        transfers: what to move; empty is allowed.

    Returns:
        the keys that are new, in the order given.

    Raises:
        NotEnoughCredit: a user's account would be overdrawn; nothing of the batch is posted.
        JournalConflict: a key was posted before with other contents.
        ValueError: a transfer crosses units, has no positive amount, or names an unknown account.
    """
    lock_journal(db)
    fresh = _unposted(db, transfers)
    if not fresh:
        return []
    movements = _Movements.of(fresh).by_code
    accounts = _open_and_lock(db, movements)
    _move(db, accounts, movements)
    ids = {code: row["id"] for code, row in accounts.items()}
    _append(db, at_ms, fresh, ids)
    return [p.key for p in fresh]


def _unposted(db: Session, transfers: list[Posting]) -> list[Posting]:
    wanted: dict[str, Posting] = {}
    for p in transfers:
        if p.amount <= 0 or p.debit == p.credit or unit_of(p.debit) != unit_of(p.credit):
            raise ValueError(f"not a transfer: {p}")
        if conflict(wanted.setdefault(p.key, p), p):
            raise JournalConflict(key=p.key)
    if not wanted:
        return []
    for row in db.execute(_POSTED, {"keys": list(wanted)}).mappings():
        before = Posting(row["key"], row["kind"], row["debit"], row["credit"], int(row["amount"]))
        if conflict(before, wanted.pop(before.key)):
            raise JournalConflict(key=before.key)
    return list(wanted.values())


def _open_and_lock(db: Session, movements: dict[str, _Movement]) -> dict[str, RowMapping]:
    """The accounts' rows, locked in order of their ids; those that are new are opened first."""
    known = set(db.execute(_KNOWN_ACCOUNTS, {"codes": list(movements)}).scalars())
    new = sorted(movements.keys() - known)
    if new:
        accounts = {"codes": new, "units": [unit_of(c) for c in new], "floored": [is_user(c) for c in new]}
        db.execute(_OPEN_ACCOUNTS, accounts)
    return {row["code"]: row for row in db.execute(_LOCK_ACCOUNTS, {"codes": list(movements)}).mappings()}


def _move(db: Session, accounts: dict[str, RowMapping], movements: dict[str, _Movement]) -> None:
    floors = []
    for code, row in accounts.items():
        moved = movements[code]
        before = row["credits"] - row["debits"]
        after = before + moved.credits - moved.debits
        if is_user(code) and after < min(before, 0) and not moved.may_overdraw:
            raise NotEnoughCredit(available_gpu_ms=int(before))
        # Below zero is for reversals and debts only; the floor returns with the balance.
        floors.append(is_user(code) and after >= 0)
    codes = list(accounts)
    db.execute(
        _MOVE,
        {
            "ids": [accounts[c]["id"] for c in codes],
            "debits": [str(movements[c].debits) for c in codes],
            "credits": [str(movements[c].credits) for c in codes],
            "floored": floors,
        },
    )


def _append(db: Session, at_ms: int, postings: list[Posting], ids: dict[str, int]) -> None:
    last = db.execute(text("SELECT hash FROM journal_batch ORDER BY id DESC LIMIT 1")).scalar()
    prev = last or FIRST_LINK
    batch_id = db.execute(
        text("INSERT INTO journal_batch (at_ms, prev_hash, hash) VALUES (:at, :prev, :hash) RETURNING id"),
        {"at": at_ms, "prev": prev, "hash": link(prev, at_ms, postings)},
    ).scalar_one()
    db.execute(
        _APPEND,
        {
            "at_ms": at_ms,
            "batch_id": batch_id,
            "keys": [p.key for p in postings],
            "kinds": [p.kind for p in postings],
            "debits": [ids[p.debit] for p in postings],
            "credits": [ids[p.credit] for p in postings],
            "amounts": [str(p.amount) for p in postings],
            "evidence": [json.dumps(p.evidence) for p in postings],
        },
    )

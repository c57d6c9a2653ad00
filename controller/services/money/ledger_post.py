"""Appending to the journal: idempotent by key, floored, hash-chained, a handful of statements for any number.

`services.ledger` is the door to this module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.ledger import FIRST_LINK, Posting, conflict, is_user, link, unit_of
from controller.errors import JournalConflict, NotEnoughCredit
from controller.services.columns import numbers, words

JOURNAL_LOCK = 0x4A4F5552

_POSTED = text("""
    SELECT t.key, t.kind, d.code AS debit, c.code AS credit, t.amount
    FROM transfer t JOIN account d ON d.id = t.debit_id JOIN account c ON c.id = t.credit_id
    WHERE t.key = ANY(CAST(:keys AS varchar[]))""")
_OPEN_ACCOUNTS = text("""
    INSERT INTO account (code, unit, floored, debits, credits)
    SELECT code, unit, floored, 0, 0
    FROM unnest(CAST(:codes AS varchar[]), CAST(:units AS varchar[]), CAST(:floored AS boolean[]))
         AS n(code, unit, floored)""")
# The newest link comes with the first account: no statement of its own, and once for any number of accounts.
_LOCK_ACCOUNTS = text("""
    SELECT id, code, debits, credits, CASE WHEN code = CAST(:first AS varchar) THEN
        (SELECT hash FROM journal_batch ORDER BY id DESC LIMIT 1) END AS link
    FROM account WHERE code = ANY(CAST(:codes AS varchar[])) ORDER BY id FOR UPDATE""")
_LAST_LINK = text("SELECT hash FROM journal_batch ORDER BY id DESC LIMIT 1")
_WRITE = text("""
    WITH batch AS (
        INSERT INTO journal_batch (at_ms, prev_hash, hash) VALUES (:at_ms, :prev, :hash) RETURNING id),
    moved AS (
        UPDATE account SET debits = account.debits + n.debits, credits = account.credits + n.credits,
                           floored = n.floored
        FROM unnest(CAST(:ids AS bigint[]), CAST(:debited AS numeric[]), CAST(:credited AS numeric[]),
                    CAST(:floored AS boolean[])) AS n(id, debits, credits, floored)
        WHERE account.id = n.id)
    INSERT INTO transfer (key, kind, debit_id, credit_id, amount, at_ms, batch_id, evidence)
    SELECT n.key, n.kind, n.debit_id, n.credit_id, n.amount, :at_ms, batch.id, CAST(n.evidence AS jsonb)
    FROM batch, unnest(CAST(:keys AS varchar[]), CAST(:kinds AS varchar[]), CAST(:debits AS bigint[]),
                       CAST(:credits AS bigint[]), CAST(:amounts AS numeric[]), CAST(:evidence AS text[]))
         WITH ORDINALITY AS n(key, kind, debit_id, credit_id, amount, evidence, place)
    ORDER BY n.place""")


class Sums(NamedTuple):
    """An account's row: what was ever taken from it and given to it."""

    id: int
    debits: Decimal
    credits: Decimal

    @property
    def left(self) -> int:
        return int(self.credits - self.debits)


@dataclass(frozen=True)
class Accounts:
    """Accounts that cannot move until the transaction ends, and the journal's newest link.

    An account that was never used is not among them.
    """

    by_code: dict[str, Sums]
    link: str

    def balance(self, code: str) -> int:
        """What is left of an account; 0 where it was never used."""
        row = self.by_code.get(code)
        return row.left if row else 0


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
    if JOURNAL_LOCK not in db.info:  # a `Session` is one transaction (`ports.Database`)
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": JOURNAL_LOCK})
        db.info[JOURNAL_LOCK] = True


def lock_accounts(db: Session, codes: Collection[str]) -> Accounts:
    """Lock the journal and these accounts, so that no balance of theirs moves any more.

    Args:
        db: open transaction.
        codes: at least one. The first is best one that is in use.
    """
    lock_journal(db)
    asked = {"codes": words(codes), "first": next(iter(codes))}
    rows = db.execute(_LOCK_ACCOUNTS, asked).all()
    sums = {row.code: Sums(row.id, row.debits, row.credits) for row in rows}
    link = next((row.link for row in rows if row.link), None)
    return Accounts(sums, link or db.execute(_LAST_LINK).scalar() or FIRST_LINK)


def post(
    db: Session,
    *,
    at_ms: int,
    transfers: list[Posting],
    accounts: Accounts | None = None,
    are_new: bool = False,
) -> list[str]:
    """Append transfers as one batch, opening accounts as needed; a handful of statements for any number.

    A key that was posted before has no second effect, for ever (payments.md section 3, idempotency).

    Args:
        db: the transaction that carries the batch.
        at_ms: the instant written to every transfer.
        transfers: what to move; empty is allowed.
        accounts: as just locked, or read under the journal's lock, with nothing posted since; else they
            are locked here.
        are_new: whoever calls holds what the keys are made of, so none was posted before and none is looked
            up; one that was all the same is refused by the table, with everything else of the transaction.

    Returns:
        the keys that are new, in the order given.

    Raises:
        NotEnoughCredit: a user's account would be overdrawn; nothing of the batch is posted.
        JournalConflict: a key was posted before with other contents.
        ValueError: a transfer crosses units, has no positive amount, or names an unknown account.
    """
    lock_journal(db)
    wanted = _checked(transfers)
    fresh = list(wanted.values()) if are_new else _unposted(db, wanted)
    if not fresh:
        return []
    movements = _Movements.of(fresh).by_code
    if accounts is None or movements.keys() - accounts.by_code.keys():
        accounts = _open_and_lock(db, movements)
    moved = _moved(accounts.by_code, movements)
    ids = {code: row.id for code, row in accounts.by_code.items()}
    db.execute(_WRITE, moved | _batch(accounts.link, at_ms, fresh) | _rows(fresh, ids))
    return [p.key for p in fresh]


def _checked(transfers: list[Posting]) -> dict[str, Posting]:
    wanted: dict[str, Posting] = {}
    for p in transfers:
        if p.amount <= 0 or p.debit == p.credit or unit_of(p.debit) != unit_of(p.credit):
            raise ValueError(f"not a transfer: {p}")
        first = wanted.setdefault(p.key, p)
        if first is not p and conflict(first, p):
            raise JournalConflict(key=p.key)
    return wanted


def _unposted(db: Session, wanted: dict[str, Posting]) -> list[Posting]:
    if not wanted:
        return []
    for row in db.execute(_POSTED, {"keys": words(wanted)}).mappings():
        before = Posting(row["key"], row["kind"], row["debit"], row["credit"], int(row["amount"]))
        if conflict(before, wanted.pop(before.key)):
            raise JournalConflict(key=before.key)
    return list(wanted.values())


def _open_and_lock(db: Session, codes: Collection[str]) -> Accounts:
    """The accounts' rows, locked in order of their ids; those that are new are opened first."""
    found = lock_accounts(db, codes)
    new = sorted(set(codes) - found.by_code.keys())
    if not new:
        return found
    opened = {
        "codes": words(new),
        "units": words(unit_of(code) for code in new),
        "floored": numbers(is_user(code) for code in new),
    }
    db.execute(_OPEN_ACCOUNTS, opened)
    return lock_accounts(db, codes)


def _moved(rows: dict[str, Sums], movements: dict[str, _Movement]) -> dict[str, Any]:
    """How the accounts move, as columns; raises NotEnoughCredit."""
    floors = []
    for code, moved in movements.items():
        before = rows[code].left
        after = before + moved.credits - moved.debits
        if is_user(code) and after < min(before, 0) and not moved.may_overdraw:
            raise NotEnoughCredit(available_gpu_ms=before)
        # Below zero is for reversals and debts only; the floor returns with the balance.
        floors.append(is_user(code) and after >= 0)
    return {
        "ids": numbers(rows[code].id for code in movements),
        "debited": numbers(moved.debits for moved in movements.values()),
        "credited": numbers(moved.credits for moved in movements.values()),
        "floored": numbers(floors),
    }


def _batch(prev: str, at_ms: int, postings: list[Posting]) -> dict[str, Any]:
    return {"at_ms": at_ms, "prev": prev, "hash": link(prev, at_ms, postings)}


def _rows(postings: list[Posting], ids: dict[str, int]) -> dict[str, Any]:
    """The transfers as columns."""
    return {
        "keys": words(p.key for p in postings),
        "kinds": words(p.kind for p in postings),
        "debits": numbers(ids[p.debit] for p in postings),
        "credits": numbers(ids[p.credit] for p in postings),
        "amounts": numbers(p.amount for p in postings),
        "evidence": words(p.evidence_json for p in postings),
    }

"""The journal's invariants: recomputed from its rows, set by set; everything that does not fit is named.

It reads what is stored and trusts no running total. What grows for ever and cannot be summed up by the
database, hash links and the worth of credits, is looked at from an instant on. `axonos ledger audit` is the
deeper one and shares no code with this. Source of the invariants: payments.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.ledger import FIRST_LINK, Posting, link
from controller.domain.storage_fee import UNITS_PER_GPU_MS
from controller.services.deps import Deps
from controller.services.money.audit_deposits import booking_problems, worth_problems

_TOTALS = """
    WITH moved AS (
        SELECT id, sum(debits) AS debits, sum(credits) AS credits FROM (
            SELECT debit_id AS id, amount AS debits, 0 AS credits FROM transfer
            UNION ALL SELECT credit_id, 0, amount FROM transfer) sides
        GROUP BY id)
    SELECT a.code, a.debits, a.credits, coalesce(m.debits, 0) AS true_debits,
           coalesce(m.credits, 0) AS true_credits
    FROM account a LEFT JOIN moved m ON m.id = a.id"""
_WINDOWS = """
    SELECT session_id, from_ms, to_ms, before_ms FROM (
        SELECT session_id, from_ms, to_ms, kind,
               lag(to_ms) OVER (PARTITION BY session_id ORDER BY from_ms) AS before_ms
        FROM usage_window) w
    WHERE before_ms <> from_ms"""
_CHARGES = """
    SELECT coalesce(t.key, w.transfer_key) AS key, t.amount, w.gpu_ms FROM
        (SELECT key, amount FROM transfer WHERE kind = 'use') t
        FULL JOIN (SELECT transfer_key, sum((to_ms - from_ms) * gpus) AS gpu_ms FROM usage_window
                   WHERE kind = 'used' GROUP BY transfer_key) w ON w.transfer_key = t.key
    WHERE t.amount IS DISTINCT FROM w.gpu_ms"""
_STORED = """
    SELECT wallet, from_ms, gpu_ms, before_ms FROM (
        SELECT *, lag(to_ms) OVER w AS before_ms, coalesce(lag(remainder) OVER w, 0) AS left_over
        FROM storage_window WINDOW w AS (PARTITION BY wallet ORDER BY from_ms)) s
    WHERE before_ms <> from_ms
       OR gpu_ms * :unit + remainder <> left_over
          + CASE WHEN kind = 'charged' THEN bytes::numeric * (to_ms - from_ms) * rate ELSE 0 END
       OR remainder NOT BETWEEN 0 AND :unit - 1"""
_STORAGE_CHARGES = """
    SELECT coalesce(t.key, w.transfer_key) AS key, t.amount, w.gpu_ms FROM
        (SELECT key, amount FROM transfer WHERE kind = 'storage') t
        FULL JOIN (SELECT transfer_key, gpu_ms FROM storage_window WHERE gpu_ms > 0) w
        ON w.transfer_key = t.key
    WHERE t.amount IS DISTINCT FROM w.gpu_ms"""
_ROWS = """
    SELECT b.id AS batch_id, b.at_ms AS batch_at_ms, b.prev_hash, b.hash, t.key, t.kind, t.amount, t.at_ms,
           t.evidence, d.code AS debit, c.code AS credit
    FROM journal_batch b
    LEFT JOIN transfer t ON t.batch_id = b.id
    LEFT JOIN account d ON d.id = t.debit_id LEFT JOIN account c ON c.id = t.credit_id
    WHERE b.at_ms >= :since
    ORDER BY b.id"""
_LINK_BEFORE = """
    SELECT hash FROM journal_batch
    WHERE id < (SELECT min(id) FROM journal_batch WHERE at_ms >= :since) ORDER BY id DESC LIMIT 1"""


def problems(db: Session, since_ms: int = 0, longest_s: int = 0) -> list[str]:
    """Everything in the journal that does not add up, a sentence each; empty for a sound journal.

    Args:
        db: a transaction; it is made repeatable-read, so it must not have run a statement yet.
        since_ms: hash links and the worth of credits are checked from this instant on.
        longest_s: the database breaks a statement off after so many seconds; 0 for never.
    """
    db.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    db.execute(text("SELECT set_config('statement_timeout', :longest, true)"), {"longest": f"{longest_s}s"})
    sets = (_totals, _sides, _floors, _windows, _charges, _storage, booking_problems)
    rows = (_chain, worth_problems)
    return [p for check in sets for p in check(db)] + [p for check in rows for p in check(db, since_ms)]


def audit(deps: Deps) -> list[str]:
    """`problems` in a transaction of its own."""
    with deps.database.begin() as db:
        return problems(db)


def _totals(db: Session) -> Iterator[str]:
    for r in db.execute(text(_TOTALS)).mappings():
        if (r["debits"], r["credits"]) != (r["true_debits"], r["true_credits"]):
            yield (
                f"account {r['code']}: stored {r['debits']} debits and {r['credits']} credits, "
                f"its transfers say {r['true_debits']} and {r['true_credits']}"
            )


def _sides(db: Session) -> Iterator[str]:
    uneven = text("SELECT unit, sum(debits) d, sum(credits) c FROM account GROUP BY unit")
    for r in db.execute(uneven).mappings():
        if r["d"] != r["c"]:
            yield f"unit {r['unit']}: {r['d']} debits against {r['c']} credits"
    crossing = text("""SELECT t.key FROM transfer t JOIN account d ON d.id = t.debit_id
                       JOIN account c ON c.id = t.credit_id WHERE d.unit <> c.unit""")
    for (key,) in db.execute(crossing):
        yield f"transfer {key} moves between accounts of different units"


def _floors(db: Session) -> Iterator[str]:
    rows = text("""
        SELECT code, credits - debits AS gpu_ms, floored, EXISTS (
            SELECT 1 FROM transfer t WHERE t.debit_id = account.id AND t.kind NOT IN ('use')) AS explained
        FROM account WHERE code LIKE 'user:%' AND (floored <> (credits >= debits) OR credits < debits)""")
    for r in db.execute(rows).mappings():
        if r["floored"] != (r["gpu_ms"] >= 0):
            floor = "on" if r["floored"] else "off"
            yield f"account {r['code']}: balance {r['gpu_ms']} with its floor {floor}"
        elif not r["explained"]:
            yield f"account {r['code']}: {r['gpu_ms']} is below zero without a reversal or a debt"


def _chain(db: Session, since_ms: int) -> Iterator[str]:
    since = {"since": since_ms}
    prev = db.execute(text(_LINK_BEFORE), since).scalar() or FIRST_LINK
    rows = db.execute(text(_ROWS), since, execution_options={"yield_per": 2000}).mappings()
    for batch_id, group in groupby(rows, key=lambda r: r["batch_id"]):
        members = list(group)
        first = members[0]
        if first["prev_hash"] != prev:
            yield f"batch {batch_id} does not follow the batch before it"
        if first["key"] is None:
            yield f"batch {batch_id} has no transfers"
            members = []
        postings = [
            Posting(r["key"], r["kind"], r["debit"], r["credit"], int(r["amount"]), r["evidence"])
            for r in members
        ]
        late = any(r["at_ms"] != first["batch_at_ms"] for r in members)
        if late or link(first["prev_hash"], first["batch_at_ms"], postings) != first["hash"]:
            yield f"batch {batch_id}: its transfers are not those that were written"
        prev = first["hash"]


def _windows(db: Session) -> Iterator[str]:
    for r in db.execute(text(_WINDOWS)).mappings():
        how = "overlaps" if r["before_ms"] > r["from_ms"] else "does not touch"
        yield f"session {r['session_id']}: the window from {r['from_ms']} {how} the one before it"


def _charges(db: Session) -> Iterator[str]:
    for r in db.execute(text(_CHARGES)).mappings():
        yield f"charge {r['key']}: {r['amount']} GPU-ms in the journal, {r['gpu_ms']} in its usage windows"


def _storage(db: Session) -> Iterator[str]:
    for r in db.execute(text(_STORED), {"unit": UNITS_PER_GPU_MS}).mappings():
        if r["before_ms"] not in {None, r["from_ms"]}:
            yield f"home {r['wallet']}: the window from {r['from_ms']} does not touch the one before it"
        else:
            yield f"home {r['wallet']}: {r['gpu_ms']} GPU-ms from {r['from_ms']} are not what it costs"
    for r in db.execute(text(_STORAGE_CHARGES)).mappings():
        yield f"charge {r['key']}: {r['amount']} GPU-ms in the journal, {r['gpu_ms']} in its storage window"

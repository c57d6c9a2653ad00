"""The invariants of deposits: every credit has its money event, and can be recomputed from its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.pricing import Price, credit_gpu_ms

_LIVE = """
    SELECT e.tx_hash, e.position, coalesce(e.beneficiary, e.payer) AS owner, e.credited_gpu_ms,
           e.transfer_key, t.amount, c.code AS credited
    FROM money_event e
    LEFT JOIN transfer t ON t.key = e.transfer_key LEFT JOIN account c ON c.id = t.credit_id
    WHERE e.state IN ('credited', 'final')
      AND (e.credited_gpu_ms IS NULL OR coalesce(t.amount, 0) <> e.credited_gpu_ms
           OR (t.id IS NOT NULL AND c.code <> 'user:' || coalesce(e.beneficiary, e.payer)))"""
_CREDITS = """
    SELECT t.key, t.amount, t.amount + coalesce(topped.amount, 0) AS whole, t.evidence
    FROM transfer t LEFT JOIN transfer topped ON topped.key = t.evidence ->> 'tops_up'
    WHERE t.kind IN ('deposit', 'top-up') AND t.at_ms >= :since"""
_ORPHANED_CREDITS = """
    SELECT t.key FROM transfer t
    WHERE t.kind = 'deposit'
      AND NOT EXISTS (SELECT 1 FROM money_event e WHERE e.transfer_key = t.key)
      AND NOT EXISTS (SELECT 1 FROM transfer r WHERE r.key = 'rev:' || t.key AND r.amount = t.amount)"""
_TOKENS = """
    WITH events AS (
        SELECT evidence ->> 'booked' || ':' || chain_id || ':' || asset AS code, sum(amount) AS amount
        FROM money_event WHERE evidence ? 'booked' GROUP BY 1),
    booked AS (
        SELECT code, credits - debits AS amount FROM account
        WHERE code LIKE 'received:%' OR code LIKE 'suspense:%' OR code LIKE 'returned:%')
    SELECT coalesce(b.code, e.code) AS code, coalesce(b.amount, 0) AS booked, coalesce(e.amount, 0) AS true
    FROM booked b FULL JOIN events e ON e.code = b.code
    WHERE coalesce(b.amount, 0) <> coalesce(e.amount, 0)"""


def booking_problems(db: Session) -> Iterator[str]:
    """What does not fit between money events and the journal."""
    for r in db.execute(text(_LIVE)).mappings():
        yield (
            f"deposit {r['tx_hash']} {r['position']}: {r['credited_gpu_ms']} GPU-ms for {r['owner']}, "
            f"the journal says {r['amount']} for {r['credited']}"
        )
    for (key,) in db.execute(text(_ORPHANED_CREDITS)):
        yield f"credit {key} belongs to no live deposit and was not taken back"
    for r in db.execute(text(_TOKENS)).mappings():
        yield f"account {r['code']}: {r['booked']} booked, its deposits sum to {r['true']}"


def worth_problems(db: Session, since_ms: int) -> Iterator[str]:
    """Credits from an instant on that do not follow from their evidence."""
    rows = db.execute(text(_CREDITS), {"since": since_ms}, execution_options={"yield_per": 2000})
    for r in rows.mappings():
        if int(r["whole"]) != recomputed(r["evidence"]):
            yield f"credit {r['key']}: {r['amount']} GPU-ms do not follow from its evidence"


def recomputed(evidence: dict[str, Any]) -> int | None:
    """A credit's GPU-milliseconds worked out again from its evidence alone; None where that is incomplete."""
    try:
        return credit_gpu_ms(
            int(evidence["amount"]),
            evidence["token_decimals"],
            Price(int(evidence["usd_answer"]), evidence["usd_decimals"]),
            Decimal(evidence["usd_per_gpu_hour"]),
            evidence["discount_bps"],
            bonus_bps=evidence.get("bonus_bps", 0),
        )
    except (KeyError, TypeError, ValueError):
        return None

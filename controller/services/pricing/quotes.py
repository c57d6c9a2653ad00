"""Binding quotes: held for one deposit of exactly their amount, honoured when that deposit is settled.

Source: payments.md 2.5; what keeps a quote from being a free bet stands in `domain.quotes` and in the
limits of `services.quotes_offer`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlmodel import Session, col, or_, select

from controller.domain.quotes import Held, Paid, holds
from controller.models import MoneyEvent, Quote

__all__ = ["held", "honour"]


def honour(db: Session, event: MoneyEvent, block_time_s: int) -> dict[str, Any] | None:
    """The terms of the quote that holds for a deposit, which is thereby used; None where there is none.

    A wallet has one open quote for an amount at a time (`quotes_offer`), so there is nothing to choose; of
    several that hold all the same the oldest is taken. A deposit finds its own quote again after it was
    mined anew, as long as its new block is in time. Reads the database only.

    Args:
        db: the transaction in which the deposit is settled; it holds the chain's cursor.
        event: a mined, confirmed deposit that a wallet can be credited for.
        block_time_s: the time of its block.

    Returns:
        the evidence of a credit as `deposits/value` makes it, read at the quote's own block, with `quote`.
    """
    paid = _paid(event, block_time_s)
    theirs = (Quote.wallet == paid.payer) & (Quote.rail == paid.asset) & (Quote.chain_id == paid.chain_id)
    in_time = col(Quote.event_id).is_(None) & (col(Quote.expires_at_ms) >= block_time_s * 1000)
    free = or_(in_time, col(Quote.event_id) == event.id)
    query = select(Quote).where(theirs, Quote.amount == Decimal(paid.amount), free).with_for_update()
    rows = list(db.exec(query.order_by(col(Quote.created_at_ms), col(Quote.id))))
    rows.sort(key=lambda quote: quote.event_id is None)  # its own first
    chosen = next((quote for quote in rows if holds(held(quote), paid)), None)
    for quote in rows:
        if quote.event_id == event.id and quote is not chosen:
            quote.event_id = None
            db.add(quote)
            db.flush()
    if chosen is None:
        return None
    chosen.event_id = event.id
    db.add(chosen)
    db.flush()
    return dict(chosen.terms)


def held(quote: Quote) -> Held:
    """A row of the table as the rules see it."""
    return Held(
        wallet=quote.wallet,
        rail=quote.rail,
        chain_id=quote.chain_id,
        amount=int(quote.amount),
        block_number=quote.block_number,
        created_at_ms=quote.created_at_ms,
        expires_at_ms=quote.expires_at_ms,
    )


def _paid(event: MoneyEvent, block_time_s: int) -> Paid:
    return Paid(
        payer=event.payer,
        asset=event.asset,
        chain_id=event.chain_id,
        amount=int(event.amount),
        block_number=event.block_number,
        block_time_s=block_time_s,
        seen_at_ms=event.seen_at_ms,
    )

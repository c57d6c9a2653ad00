"""Binding quotes: which deposit a quote holds for, and what may be asked for.

A quote fixes what one deposit of exactly its amount brings, upwards and downwards, if that wallet's payment
is mined after the quote was made and before it runs out. Nothing that had happened on the chain when a
quote was made can use it, so there is no looking back for a better price (payments.md 2.5; section 10,
goal 7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Block times and the clocks of two machines differ by a slot at most.
SKEW_MS = 15_000
MINIMUM = "min"
_DIGITS = re.compile(r"[0-9]{1,78}")


@dataclass(frozen=True)
class Held:
    """A quote: for whom, for what, and from when until when. `block_number` is the block it was priced at."""

    wallet: str
    rail: str
    chain_id: int
    amount: int
    block_number: int
    created_at_ms: int
    expires_at_ms: int


@dataclass(frozen=True)
class Paid:
    """A mined deposit; `seen_at_ms` is when the platform first heard of it, by the server's clock."""

    payer: str
    asset: str
    chain_id: int
    amount: int
    block_number: int
    block_time_s: int
    seen_at_ms: int


def holds(quote: Held, paid: Paid) -> bool:
    """Whether a deposit is the one a quote was made for, as far as the two alone can tell."""
    same = (quote.wallet, quote.rail, quote.chain_id, quote.amount) == (
        paid.payer,
        paid.asset,
        paid.chain_id,
        paid.amount,
    )
    mined_ms = paid.block_time_s * 1000
    earliest_ms = quote.created_at_ms - SKEW_MS
    afterwards = (
        paid.block_number > quote.block_number and mined_ms > earliest_ms and paid.seen_at_ms > earliest_ms
    )
    return same and afterwards and mined_ms <= quote.expires_at_ms


@dataclass(frozen=True)
class Wish:
    """What a quote is asked for: an amount, GPU-hours, or the minimum; `text` tells wishes apart."""

    amount: int | None = None
    gpu_hours: int | None = None

    @property
    def text(self) -> str:
        if self.amount is not None:
            return f"amount:{self.amount}"
        return f"hours:{self.gpu_hours}" if self.gpu_hours is not None else MINIMUM


def wish_of(amount: object, gpu_hours: object) -> Wish:
    """A wish from two fields of a request, of which exactly one is given.

    Args:
        amount: `min`, or an amount in the token's smallest unit as decimal digits; else None.
        gpu_hours: a whole number of GPU-hours; else None.

    Raises:
        ValueError: with what is expected instead.
    """
    if (amount is None) == (gpu_hours is None):
        raise ValueError("give either `amount` or `gpu_hours`")
    if amount is None:
        if isinstance(gpu_hours, bool) or not isinstance(gpu_hours, int) or gpu_hours < 1:
            raise ValueError("`gpu_hours` is a whole number from 1 upwards")
        return Wish(gpu_hours=gpu_hours)
    if amount == MINIMUM:
        return Wish()
    if not isinstance(amount, str) or not _DIGITS.fullmatch(amount) or int(amount) == 0:
        raise ValueError('`amount` is "min", or decimal digits in the token\'s smallest unit')
    return Wish(amount=int(amount))

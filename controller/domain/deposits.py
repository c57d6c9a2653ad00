"""Rules of deposits that need no chain and no database: hashes, who can be credited, what the payer reads.

Source: payments.md 2.1 (states), 2.3 (attribution), 2.4 (awkward cases).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from controller.domain.pricing import amount_text, minutes_text

_HASH = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})")
NOBODY = "0x" + "0" * 40
# Confirmed by nothing yet, or confirmed and waiting: what the watcher still has to settle.
OPEN = ("seen", "confirming", "price_pending")
# Booked against a live credit.
CREDITED = ("credited", "final")
# The position of an event that stands for wei no payment explains.
UNEXPLAINED = "unexplained"
ETH_DECIMALS = 18
USDC_DECIMALS = 6


def normalise_tx_hash(text: str) -> str:
    """A pasted transaction hash as 0x and 64 lower-case hex digits.

    Raises:
        ValueError: it is none.
    """
    found = _HASH.fullmatch(text.strip())
    if not found:
        raise ValueError("a transaction hash has 64 hexadecimal digits, with or without 0x")
    return "0x" + found[1].lower()


def unattributable(payer: str, own: Collection[str]) -> str | None:
    """Why nobody can be credited for what this address paid; None when the payer can.

    Args:
        payer: the paying address, lower case.
        own: the revenue wallet and the token contracts, lower case.
    """
    if payer == NOBODY:
        return "minted, not paid by anyone"
    return "paid by one of the platform's own addresses" if payer in own else None


def short(address: str) -> str:
    """An address as people compare it: `0x12ab..34cd`."""
    return f"{address[:6]}..{address[-4:]}"


def pending_text(confirmations: int, required: int) -> str:
    """What the payer of an unconfirmed transaction reads."""
    return f"Pending: {min(confirmations, required)} of {required} confirmations."


def age_text(ms: int) -> str:
    """How long ago, as people say it."""
    minutes = max(ms, 0) // 60_000
    if minutes < 1:
        return "less than a minute ago"
    if minutes < 120:
        return f"{minutes} minute{'s' if minutes > 1 else ''} ago"
    return f"{minutes // 60} hours ago"


def sent_text(required: int, age_ms: int) -> str:
    """What the payer of a transaction reads that waits in the pool."""
    return f"Sent, not mined yet; looked up first {age_text(age_ms)}. {pending_text(0, required)}"


def dropped_text(age_ms: int) -> str:
    """What the payer of a transaction reads that was in the pool and is known to no node now."""
    return (
        f"It waited in the pool {age_text(age_ms)}, and no node knows it now: it was dropped, and nothing "
        "was paid so far. If your wallet sends it again, it is found by itself."
    )


def replaced_text(by_tx_hash: str | None) -> str:
    """What the payer of a transaction reads whose nonce another transaction has used."""
    if by_tx_hash is None:
        return (
            "Replaced: your wallet sent another transaction in its place. What that one pays here is found "
            "by itself."
        )
    return f"Replaced by {by_tx_hash}, which your wallet sent in its place. That one counts."


@dataclass(frozen=True)
class Told:
    """What the line about one mined deposit is made of; amounts are in the asset's smallest unit.

    `minimum` is the least deposit that applied, 0 if none did yet, and `missing` what the payer's deposits
    still lack of it; `waits_why` says what an open deposit waits for; `to` is the wallet it was given to.
    """

    state: str
    asset: str
    amount: int
    decimals: int
    chain: str
    credited_gpu_ms: int = 0
    minimum: int = 0
    missing: int = 0
    waits_why: str | None = None
    to: str | None = None


def state_text(told: Told) -> str:
    """What the payer of a mined deposit reads once it is no longer pending."""
    paid = f"{amount_text(told.amount, told.decimals)} {told.asset.upper()}"
    minutes = minutes_text(told.credited_gpu_ms)
    why = f" ({told.waits_why})" if told.waits_why else ""
    given = f" They were given to {short(told.to)}." if told.to else ""
    return {
        "confirming": f"Confirmed {paid}, not credited yet{why}.",
        "credited": f"Credited: {minutes} minutes for {paid}. Provisional until its block is final.{given}",
        "final": f"Credited: {minutes} minutes for {paid}. Final on the chain.{given}",
        "orphaned": f"The network dropped the block with these {paid}. If it is mined again, it counts.",
        "reversed": f"The network dropped the block with these {paid} after it was credited; the credit was "
        "taken back. If it is mined again, it is credited again.",
        "below_min": f"Received {paid}, below the minimum{_least(told)}. It is kept, and credited together "
        "with your next deposits as soon as they reach the minimum.",
        "unattributed": f"Received {paid} from an address that cannot be credited. It is kept; "
        "ask the operator.",
        "own_move": f"{paid} moved between the platform's own wallets; this is no deposit.",
        "returned": f"The operator sent these {paid} back.",
        "wrong_asset": f"Received {paid} on {told.chain}, where it is not accepted. It is kept; "
        "ask the operator.",
        "price_pending": f"Confirmed {paid}, not credited yet{why}. It is kept until its price is known.",
    }[told.state]


def _least(told: Told) -> str:
    unit = told.asset.upper()
    least = f" of {amount_text(told.minimum, told.decimals)} {unit}" if told.minimum else ""
    return (
        f"{least}; {amount_text(told.missing, told.decimals)} {unit} more are missing"
        if told.missing
        else least
    )

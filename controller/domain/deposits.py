"""Rules of deposits that need no chain and no database: hashes, who can be credited, what the payer reads.

Source: payments.md 2.1 (states), 2.3 (attribution), 2.4 (awkward cases).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from controller.domain.pricing import amount_text, minutes_text

_HASH = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})")
NOBODY = "0x" + "0" * 40
# Confirmed by nothing yet, or confirmed and waiting: what the watcher still has to settle.
OPEN = ("seen", "confirming", "price_pending")
# Booked against a live credit.
CREDITED = ("credited", "final")
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


def state_text(
    state: str, *, asset: str, amount: int, decimals: int, credited_gpu_ms: int, minimum: int
) -> str:
    """What the payer of a mined deposit reads once it is no longer pending.

    Args:
        state: of the money event.
        asset: `eth`, `usdc` or `axgt`.
        amount: in the asset's smallest unit.
        decimals: of the asset.
        credited_gpu_ms: what it brought.
        minimum: the least deposit that applied, in the asset's smallest unit; 0 if none did yet.
    """
    paid = f"{amount_text(amount, decimals)} {asset.upper()}"
    least = f" of {amount_text(minimum, decimals)} {asset.upper()}" if minimum else ""
    return {
        "credited": f"Credited: {minutes_text(credited_gpu_ms)} minutes for {paid}.",
        "final": f"Credited: {minutes_text(credited_gpu_ms)} minutes for {paid}. Final on the chain.",
        "orphaned": f"The network dropped the block with these {paid}. If it is mined again, it counts.",
        "reversed": f"The network dropped the block with these {paid} after it was credited; the credit was "
        "taken back. If it is mined again, it is credited again.",
        "below_min": f"Received {paid}, below the minimum{least}. It is kept, and credited together with "
        "your next deposits as soon as they reach the minimum.",
        "unattributed": f"Received {paid} from an address that cannot be credited. It is kept; "
        "ask the operator.",
        "own_move": f"{paid} moved between the platform's own wallets; this is no deposit.",
        "wrong_asset": f"Received {paid}, which is not accepted here. It is kept; ask the operator.",
        "price_pending": f"Confirmed {paid}. There is no trustworthy price at the moment; it is credited by "
        "itself as soon as there is one.",
    }[state]

"""Holder tiers: what holding AXGT takes off the ETH price.

Source: specification, *Buy compute credits*, "Save with AXGT". Holdings are floored to whole tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tier:
    """One step of the table. `floor` is whole AXGT; `next_floor` is None at the top."""

    index: int
    floor: int
    discount_bps: int
    next_floor: int | None

    @property
    def label(self) -> str:
        """For people: `Tier 2 (10 % off)`."""
        off = f"{self.discount_bps // 100}.{self.discount_bps % 100:02d}".rstrip("0").rstrip(".")
        return f"Tier {self.index} ({off} % off)" if self.discount_bps else f"Tier {self.index}"


def tier_of(balance: int, decimals: int, table: Sequence[tuple[int, int]]) -> Tier:
    """The tier of a holding.

    Args:
        balance: AXGT held, in the token's smallest unit.
        decimals: of the token.
        table: pairs of whole tokens and discount in basis points, ascending from 0.
    """
    held = balance // 10**decimals
    index = max(i for i, (floor, _) in enumerate(table) if floor <= held)
    floor, discount = table[index]
    following = table[index + 1][0] if index + 1 < len(table) else None
    return Tier(index, floor, discount, following)


@dataclass(frozen=True)
class Effective:
    """The tier that counts; with look-back it is `rises_to` in `in_days` days, if nothing is sold."""

    tier: Tier
    rises_to: Tier | None = None
    in_days: int | None = None


def effective_tier(
    balances: Sequence[tuple[int, int]], decimals: int, table: Sequence[tuple[int, int]]
) -> Effective:
    """The least tier of several samples of a holding.

    Args:
        balances: pairs of days before now and balance in the token's smallest unit; (0, ...) among them.
        decimals: of the token.
        table: as for `tier_of`.

    Returns:
        the tier that counts now. What was held between the samples is not known, and may meet a longer
        sample later: only after the longest look-back is it sure that today's holding counts everywhere.
    """
    tiers = {days: tier_of(balance, decimals, table) for days, balance in balances}
    least = min(tiers.values(), key=lambda tier: tier.index)
    if tiers[0].index == least.index:
        return Effective(least)
    return Effective(least, tiers[0], max(tiers))

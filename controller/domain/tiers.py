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

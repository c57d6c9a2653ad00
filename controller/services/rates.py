"""What the payment panel shows: each rail's minimum, its minutes and price, and the wallet's holder tier."""

from __future__ import annotations

from dataclasses import dataclass

from controller.services.deps import Deps


@dataclass(frozen=True)
class RateRow:
    """One rail. Amounts are the token's smallest unit; texts are exact decimals, floored, ready to show.

    `minutes_for_minimum`, `gpu_ms_per_unit_text` (GPU-milliseconds for one whole token) and
    `usd_price_text` are None while there is no trustworthy price.
    """

    rail: str
    enabled: bool
    minimum: int
    minimum_text: str
    decimals: int
    minutes_for_minimum: str | None
    gpu_ms_per_unit_text: str | None
    usd_price_text: str | None
    discount_bps: int
    contract: str | None


@dataclass(frozen=True)
class Rates:
    """The whole panel. Without a wallet, or while the chain cannot be read, `axgt_balance_text` is None."""

    rows: list[RateRow]
    axgt_balance_text: str | None
    tier_index: int
    tier_label: str
    discount_bps: int
    next_tier_text: str | None
    revenue_wallet: str
    chain_id: int
    genesis_hash: str


def rates(deps: Deps, wallet: str | None) -> Rates:
    """Today's rates for one wallet; a chain that cannot be read leaves gaps, it never raises."""
    raise NotImplementedError

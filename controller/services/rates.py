"""What the payment panel shows: each rail's minimum, its minutes and price, and the wallet's holder tier."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.deposits import ETH_DECIMALS, USDC_DECIMALS
from controller.domain.pricing import (
    DOLLAR,
    Price,
    amount_text,
    credit_gpu_ms,
    minimum_after_discount,
    minutes_text,
)
from controller.domain.tiers import Tier, tier_of
from controller.errors import Unavailable
from controller.services.deposits_value import trusted_price
from controller.services.deps import Deps
from controller.settings import Settings

AXGT_MINIMUM_TOKENS = 100


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
    """Today's rates; what a deposit brings is settled by the price and holding at its own block.

    Args:
        deps: ports and settings.
        wallet: whose tier applies; None for a visitor without one.

    Returns:
        the panel; a chain or feed that cannot be read leaves gaps in it, it never raises for that.
    """
    settings = deps.settings
    price, held = _eth_price(deps), _holding(deps, wallet)
    tier = tier_of(held or 0, settings.axgt.decimals, settings.pricing.tiers)
    return Rates(
        rows=[_eth(settings, price, tier), _usdc(settings), _axgt(settings)],
        axgt_balance_text=None if held is None else amount_text(held, settings.axgt.decimals),
        tier_index=tier.index,
        tier_label=tier.label,
        discount_bps=tier.discount_bps,
        next_tier_text=_next_tier(settings, tier, held),
        revenue_wallet=settings.chain.revenue_wallet,
        chain_id=settings.chain.chain_id,
        genesis_hash=settings.chain.genesis_hash,
    )


def _eth_price(deps: Deps) -> Price | None:
    try:
        head = deps.chain.head()
        return trusted_price(deps.settings, deps.chain.eth_usd(head.hash), head)
    except Unavailable:
        return None


def _holding(deps: Deps, wallet: str | None) -> int | None:
    try:
        return None if wallet is None else deps.chain.axgt_balance(wallet.lower())
    except Unavailable:
        return None


def _next_tier(settings: Settings, tier: Tier, held: int | None) -> str | None:
    if tier.next_floor is None:
        return None
    decimals = settings.axgt.decimals
    following = tier_of(tier.next_floor * 10**decimals, decimals, settings.pricing.tiers)
    missing = amount_text(tier.next_floor * 10**decimals - (held or 0), decimals)
    return f"{missing} AXGT more for {following.label}"


@dataclass(frozen=True)
class _Rail:
    name: str
    enabled: bool
    minimum: int
    decimals: int
    contract: str | None


def _eth(settings: Settings, price: Price | None, tier: Tier) -> RateRow:
    minimum = minimum_after_discount(settings.eth.minimum_wei, tier.discount_bps)
    rail = _Rail("eth", settings.eth.enabled, minimum, ETH_DECIMALS, None)
    return _row(settings, rail, price, tier.discount_bps)


def _usdc(settings: Settings) -> RateRow:
    usdc = settings.usdc
    rail = _Rail("usdc", usdc.enabled, usdc.minimum, USDC_DECIMALS, usdc.contract)
    return _row(settings, rail, DOLLAR)


def _axgt(settings: Settings) -> RateRow:
    axgt = settings.axgt
    minimum = int(AXGT_MINIMUM_TOKENS * 10**axgt.decimals)
    return _row(settings, _Rail("axgt", False, minimum, axgt.decimals, axgt.contract), None)


def _row(settings: Settings, rail: _Rail, price: Price | None, discount_bps: int = 0) -> RateRow:
    def worth(amount: int) -> int | None:
        if price is None:
            return None
        hour = settings.pricing.usd_per_gpu_hour
        return credit_gpu_ms(amount, rail.decimals, price, hour, discount_bps)

    for_minimum, for_one = worth(rail.minimum), worth(10**rail.decimals)
    return RateRow(
        rail=rail.name,
        enabled=rail.enabled,
        minimum=rail.minimum,
        minimum_text=amount_text(rail.minimum, rail.decimals),
        decimals=rail.decimals,
        minutes_for_minimum=None if for_minimum is None else minutes_text(for_minimum),
        gpu_ms_per_unit_text=None if for_one is None else str(for_one),
        usd_price_text=None if price is None else amount_text(price.answer, price.decimals),
        discount_bps=discount_bps,
        contract=rail.contract,
    )

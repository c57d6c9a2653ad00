"""What the payment panel shows: each rail's minimum, its minutes and price, and the wallet's holder tier."""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils.address import to_checksum_address

from controller.domain.deposits import ETH_DECIMALS, USDC_DECIMALS
from controller.domain.pricing import (
    amount_text,
    cheaper_text,
    credit_gpu_ms,
    minimum_after_discount,
    minutes_text,
)
from controller.domain.tiers import Tier, tier_of
from controller.services.deps import Deps
from controller.services.pricing.holdings import DAY_S, Holding
from controller.services.pricing.prices import Asset
from controller.services.pricing.rate_board import RateBoard, SeenPrice
from controller.settings import Settings


@dataclass(frozen=True)
class RateRow:
    """One rail. Amounts are the token's smallest unit; texts are exact decimals, floored, ready to show.

    `minutes_for_minimum`, `gpu_ms_per_unit_text` (GPU-milliseconds for one whole token) and
    `usd_price_text` are None while there is no trustworthy price, and `why_not` says why nothing can be
    sent then. `price_updated_at_ms` is None for a fixed price. `saves_text` is what the next holder tier
    would save on this rail.
    """

    rail: str
    enabled: bool
    chain_id: int
    minimum: int
    minimum_text: str
    decimals: int
    minutes_for_minimum: str | None
    gpu_ms_per_unit_text: str | None
    usd_price_text: str | None
    price_updated_at_ms: int | None
    discount_bps: int
    bonus_bps: int
    saves_text: str | None
    contract: str | None
    why_not: str | None


@dataclass(frozen=True)
class HoldingView:
    """The wallet's AXGT and the tier that counts for it.

    With look-back the tier may be lower than today's holding alone would be: `rises_to` says what that will
    count for, and `rises_at_ms` from when at the latest, if the wallet keeps it.
    """

    axgt_balance_text: str
    tier_index: int
    tier_label: str
    discount_bps: int
    lookback_days: int
    rises_to: str | None
    rises_at_ms: int | None


@dataclass(frozen=True)
class Rates:
    """The whole panel. `holding` is None without a wallet, or while the chain cannot be read."""

    rows: list[RateRow]
    holding: HoldingView | None
    quote_minutes: int
    server_now_ms: int


def rates(deps: Deps, board: RateBoard, wallet: str | None) -> Rates:
    """Today's rates; what a deposit brings is settled by the price and holding at its own block.

    Args:
        deps: ports and settings.
        board: prices and holdings, read at most once in a few seconds.
        wallet: whose tier applies; None for a visitor without one.

    Returns:
        the panel; a chain or feed that cannot be read leaves gaps in it, it never raises for that.
    """
    settings = deps.settings
    held = None if wallet is None else board.held(wallet.lower())
    tier = held.effective(settings).tier if held else _tier(settings, 0)
    now_ms = deps.clock.now_ms()
    return Rates(
        rows=[_row(settings, rail, board, tier, held) for rail in rails(settings)],
        holding=None if held is None else _view(settings, held, now_ms),
        quote_minutes=settings.quotes.minutes,
        server_now_ms=now_ms,
    )


@dataclass(frozen=True)
class Rail:
    """What the operator set for a rail; `minimum` is without any discount, in the smallest unit."""

    name: Asset
    enabled: bool
    minimum: int
    decimals: int
    contract: str | None
    bonus_bps: int = 0
    discounted: bool = False


def rails(settings: Settings) -> list[Rail]:
    """All three rails, enabled or not."""
    eth, usdc, axgt = settings.eth, settings.usdc, settings.axgt
    minimum = int(axgt.minimum_tokens * 10**axgt.decimals)
    return [
        Rail("eth", eth.enabled, eth.minimum_wei, ETH_DECIMALS, None, discounted=True),
        Rail("usdc", usdc.enabled, usdc.minimum, USDC_DECIMALS, to_checksum_address(usdc.contract)),
        Rail(
            "axgt", axgt.enabled, minimum, axgt.decimals, to_checksum_address(axgt.contract), axgt.bonus_bps
        ),
    ]


def _row(settings: Settings, rail: Rail, board: RateBoard, tier: Tier, held: Holding | None) -> RateRow:
    seen = board.price(rail.name) if rail.enabled else SeenPrice(None, None, None)
    price, discount = seen.price, tier.discount_bps if rail.discounted else 0
    minimum = minimum_after_discount(rail.minimum, discount)

    def worth(amount: int) -> int | None:
        if price is None:
            return None
        hour = settings.pricing.usd_per_gpu_hour
        return credit_gpu_ms(amount, rail.decimals, price, hour, discount, bonus_bps=rail.bonus_bps)

    for_minimum, for_one = worth(minimum), worth(10**rail.decimals)
    return RateRow(
        rail=rail.name,
        enabled=rail.enabled,
        chain_id=settings.chain_of(rail.name).chain_id,
        minimum=minimum,
        minimum_text=amount_text(minimum, rail.decimals),
        decimals=rail.decimals,
        minutes_for_minimum=None if for_minimum is None else minutes_text(for_minimum),
        gpu_ms_per_unit_text=None if for_one is None else str(for_one),
        usd_price_text=None if price is None else amount_text(price.answer, price.decimals),
        price_updated_at_ms=seen.updated_at_ms,
        discount_bps=discount,
        bonus_bps=rail.bonus_bps,
        saves_text=_saves(settings, tier, held) if rail.discounted else None,
        contract=rail.contract,
        why_not=seen.why,
    )


def _saves(settings: Settings, tier: Tier, held: Holding | None) -> str | None:
    """What the next tier would take off this rail's minute, and how much AXGT is missing for it."""
    balance = held.samples[0].balance if held else 0
    today = _tier(settings, balance)
    if today.next_floor is None:
        return None
    decimals = settings.axgt.decimals
    less = cheaper_text(tier.discount_bps, _tier(settings, today.next_floor * 10**decimals).discount_bps)
    return f"{grouped(today.next_floor * 10**decimals - balance, decimals)} AXGT more: {less} less per minute"


def _tier(settings: Settings, balance: int) -> Tier:
    return tier_of(balance, settings.axgt.decimals, settings.pricing.tiers)


def grouped(amount: int, decimals: int) -> str:
    """A token amount for people: exact, with commas between thousands."""
    whole, _, fraction = amount_text(amount, decimals).partition(".")
    return f"{int(whole):,}.{fraction}" if fraction else f"{int(whole):,}"


def _view(settings: Settings, held: Holding, now_ms: int) -> HoldingView:
    effective = held.effective(settings)
    rises = effective.rises_to
    return HoldingView(
        axgt_balance_text=grouped(held.samples[0].balance, settings.axgt.decimals),
        tier_index=effective.tier.index,
        tier_label=effective.tier.label,
        discount_bps=effective.tier.discount_bps,
        lookback_days=max(settings.pricing.tier_lookback_days, default=0),
        rises_to=rises.label if rises else None,
        rises_at_ms=now_ms + (effective.in_days or 0) * DAY_S * 1000 if rises else None,
    )

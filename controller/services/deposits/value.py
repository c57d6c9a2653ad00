"""What one confirmed money event comes to: credited, below the minimum, or kept for a reason.

Price and tier are read at the deposit's own block, by its hash, never at the time of asking and never at
another block (payments.md 0.4 and 2.5). This module only reads; `settle` writes the verdict down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.domain.deposits import (
    ETH_DECIMALS,
    UNEXPLAINED,
    USDC_DECIMALS,
    unattributable,
)
from controller.domain.pricing import credit_gpu_ms, minimum_after_discount
from controller.errors import PriceUnavailable, StateForgotten
from controller.models import MoneyEvent
from controller.services.deps import Deps
from controller.services.ports import Block
from controller.services.pricing.holdings import Holding, holding
from controller.services.pricing.prices import Trusted, price_of
from controller.settings import Settings

UNKNOWN_HOLDING = {"unknown": "no node keeps the state of that block; the tier is made up for later"}


@dataclass(frozen=True)
class Verdict:
    """The state an event comes to and why; with a value, `evidence` carries what it was computed from.

    `tier_unknown` marks a value at tier 0 because the holding at its block cannot be read for now.
    """

    state: str
    why: str
    minimum: int
    evidence: dict[str, Any]
    tier_unknown: bool = False


def decimals_of(settings: Settings, asset: str) -> int:
    """How many decimals an asset's amounts have."""
    return {"eth": ETH_DECIMALS, "usdc": USDC_DECIMALS, "axgt": settings.axgt.decimals}[asset]


def rail_minimum(settings: Settings, asset: str, rail: str = "") -> int:
    """The least deposit of a rail without any discount, in the asset's smallest unit."""
    axgt = settings.axgt
    if rail == "x402" and settings.x402 is not None:
        return settings.x402.amounts[0]
    return {
        "eth": settings.eth.minimum_wei,
        "usdc": settings.usdc.minimum,
        "axgt": int(axgt.minimum_tokens * 10**axgt.decimals),
    }[asset]


def accepted(settings: Settings, asset: str, chain_id: int) -> bool:
    """Whether a rail takes this asset on this chain."""
    on = {"eth": settings.eth.enabled, "usdc": settings.usdc.enabled, "axgt": settings.axgt.enabled}
    if not on.get(asset, False):
        return False
    return settings.chain_of("usdc" if asset == "usdc" else "eth").chain_id == chain_id


def own_addresses(settings: Settings, chain_id: int) -> set[str]:
    """Addresses on a chain that are ours or a token's, lower case: nobody is credited for what they pay."""
    contracts = {settings.axgt.contract, settings.usdc.contract}
    return {address.lower() for address in {*settings.chain_by_id(chain_id).wallets, *contracts}}


def worth(deps: Deps, asset: str, payer: str | None, amount: int, at: Block, *, rail: str = "") -> Verdict:
    """What an amount of an asset is worth at a block, for a deposit and for a quote alike.

    Args:
        deps: for the chains and the settings.
        asset: `eth`, `usdc` or `axgt`.
        payer: whose holder tier counts; None for tier 0.
        amount: in the asset's smallest unit.
        at: a block of the rail's chain.
        rail: `x402`, or empty for a plain deposit.

    Returns:
        `credited` or `below_min`, with the evidence of a credit.

    Raises:
        PriceUnavailable: there is no price to be believed at that block.
        StateForgotten: no node keeps that block's state.
        ChainUnavailable: nothing could be read; nothing is decided.
    """
    price = price_of(deps, asset, at)  # type: ignore[arg-type]
    held = holding(deps, payer, at) if asset == "eth" and payer is not None else None
    return valued(deps.settings, asset, amount, price, held, rail=rail)


def valued(
    settings: Settings, asset: str, amount: int, price: Trusted, held: Holding | None, *, rail: str = ""
) -> Verdict:
    """`worth` once price and holding are known."""
    decimals, hour = decimals_of(settings, asset), settings.pricing.usd_per_gpu_hour
    discount = held.effective(settings).tier.discount_bps if held else 0
    bonus = settings.axgt.bonus_bps if asset == "axgt" else 0
    gpu_ms = credit_gpu_ms(amount, decimals, price.price, hour, discount, bonus_bps=bonus)
    minimum = minimum_after_discount(rail_minimum(settings, asset, rail), discount)
    terms = {
        "token_decimals": decimals,
        "discount_bps": discount,
        "bonus_bps": bonus,
        "usd_per_gpu_hour": str(hour),
        "usd_answer": str(price.price.answer),
        "usd_decimals": price.price.decimals,
        "minimum": str(minimum),
        "gpu_ms": str(gpu_ms),
    }
    tier = {"holding": held.evidence(settings)} if held else {}
    state = "credited" if amount >= minimum else "below_min"
    return Verdict(state, f"at least {minimum} is needed", minimum, {**price.evidence, **tier, **terms})


def value(deps: Deps, event: MoneyEvent, at: Block) -> Verdict:
    """What a confirmed event comes to.

    What was noted when the event was first seen counts; else it is read now. Where the nodes have dropped
    the block's state since, the price comes from the feed's rounds and the tier is 0 until it can be read.

    Args:
        deps: for the chains and the settings.
        event: a confirmed money event.
        at: its block, read by number and equal in hash.

    Raises:
        ChainUnavailable: nothing could be read; nothing is decided.
    """
    kept = kept_for_nobody(deps.settings, event)
    if kept:
        return Verdict(*kept, 0, {})
    noted = event.evidence.get("noted")
    if noted:
        return _noted(int(event.amount), noted)
    amount = int(event.amount)
    try:
        return worth(deps, event.asset, event.payer, amount, at, rail=event.rail)
    except PriceUnavailable as error:
        return Verdict("price_pending", error.message, 0, {})
    except StateForgotten:
        return _without_state(deps, event, amount, at)


def _without_state(deps: Deps, event: MoneyEvent, amount: int, at: Block) -> Verdict:
    try:
        found = worth(deps, event.asset, None, amount, at, rail=event.rail)
    except (PriceUnavailable, StateForgotten) as error:
        return Verdict("price_pending", error.message, 0, {})
    evidence = {**found.evidence, "holding": UNKNOWN_HOLDING}
    return Verdict(found.state, found.why, found.minimum, evidence, tier_unknown=True)


def _noted(amount: int, noted: dict[str, Any]) -> Verdict:
    minimum = int(noted["minimum"])
    state = "credited" if amount >= minimum else "below_min"
    return Verdict(state, f"at least {minimum} is needed", minimum, noted)


def kept_for_nobody(settings: Settings, event: MoneyEvent) -> tuple[str, str] | None:
    """State and reason of an event that no wallet is credited for; None for one that has a payer."""
    chain = settings.chain_by_id(event.chain_id)
    if event.payer in chain.wallets:
        return "own_move", "moved between the platform's own wallets"
    if event.position == UNEXPLAINED:
        return "unattributed", "no payment explains these wei"
    if event.evidence.get("doubtful"):
        return "unattributed", "the token's own balances do not show that it arrived"
    nobody = unattributable(event.payer, own_addresses(settings, event.chain_id))
    if nobody:
        return "unattributed", nobody
    if not accepted(settings, event.asset, event.chain_id):
        return "wrong_asset", f"{event.asset.upper()} is not accepted on {chain.name}"
    return None

"""What one confirmed money event comes to: credited, below the minimum, or kept for a reason.

Price and tier are read at the deposit's own block, by its hash, never at the time of asking
(payments.md 0.4 and 2.5). This module only reads; `deposits_settle` writes the verdict down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from controller.domain.deposits import ETH_DECIMALS, USDC_DECIMALS, unattributable
from controller.domain.pricing import DOLLAR, Price, credit_gpu_ms, minimum_after_discount, price_problem
from controller.domain.tiers import Tier, tier_of
from controller.errors import PriceUnavailable, StateForgotten
from controller.models import MoneyEvent
from controller.services.deps import Deps
from controller.services.ports import Block, PriceEvidence
from controller.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Verdict:
    """The state an event comes to and why; with a value, `evidence` carries what it was computed from."""

    state: str
    why: str
    minimum: int
    evidence: dict[str, Any]


def decimals_of(settings: Settings, asset: str) -> int:
    """How many decimals an asset's amounts have."""
    return {"eth": ETH_DECIMALS, "usdc": USDC_DECIMALS, "axgt": settings.axgt.decimals}[asset]


def own_addresses(settings: Settings) -> set[str]:
    """Addresses that are ours or a token's, lower case: nobody is credited for what they pay."""
    contracts = {settings.axgt.contract, settings.usdc.contract}
    return {address.lower() for address in {settings.chain.revenue_wallet, *contracts}}


def trusted_price(settings: Settings, evidence: PriceEvidence, at: Block) -> Price:
    """The ETH price a feed's answer stands for at a block.

    Raises:
        PriceUnavailable: the answer is stale, incomplete or not sane; the message says which.
    """
    price, eth = Price(evidence.answer, evidence.decimals), settings.eth
    problem = price_problem(
        price,
        updated_at_s=evidence.updated_at_s,
        at_s=at.timestamp_s,
        max_age_s=eth.feed_heartbeat_s + eth.feed_grace_s,
        min_usd=eth.min_usd,
        max_usd=eth.max_usd,
    )
    if problem:
        raise PriceUnavailable(problem)
    return price


def value(deps: Deps, event: MoneyEvent, at: Block, head: Block) -> Verdict:
    """What a confirmed event is worth.

    Args:
        deps: for the chain and the settings.
        event: a confirmed money event.
        at: its block, read by number and equal in hash.
        head: the newest block read. What could not be had at `at` (a price to trust, or state that the
            nodes have dropped after a long outage) is asked for here on a later try: the payer cannot
            choose that instant, and the evidence names the block.

    Raises:
        ChainUnavailable: nothing could be read; nothing is decided.
    """
    kept = _kept_for_nobody(deps.settings, event)
    if kept:
        return Verdict(*kept, 0, {})
    if event.asset == "usdc":
        return _valued(deps.settings, event, DOLLAR, {"fixed_usd": "1"}, None)
    blocks = [at, head] if event.state == "price_pending" else [at]
    try:
        price, priced_at = _first(lambda block: _price(deps, block), blocks)
        held, held_at = _first(lambda block: deps.chain.axgt_balance(event.payer, block.hash), blocks)
    except PriceUnavailable as error:
        return Verdict("price_pending", error.message, 0, {})
    axgt = deps.settings.axgt
    tier = tier_of(held, axgt.decimals, deps.settings.pricing.tiers)
    holding = {
        "axgt_balance": str(held),
        "axgt_contract": axgt.contract.lower(),
        "tier": tier.index,
        "block_number": held_at.number,
        "block_hash": held_at.hash,
    }
    feed = {**asdict(price), "answer": str(price.answer), "round_id": str(price.round_id)}
    evidence = {"price": {**feed, "block_number": priced_at.number}, "holding": holding}
    return _valued(deps.settings, event, Price(price.answer, price.decimals), evidence, tier)


def _first(read: Callable[[Block], T], blocks: list[Block]) -> tuple[T, Block]:
    """What can be read at the first of the blocks that has it, and which one that was."""
    why = ""
    for block in blocks:
        try:
            return read(block), block
        except (PriceUnavailable, StateForgotten) as error:
            why = error.message
    raise PriceUnavailable(why)


def _price(deps: Deps, block: Block) -> PriceEvidence:
    found = deps.chain.eth_usd(block.hash)
    trusted_price(deps.settings, found, block)
    return found


def _kept_for_nobody(settings: Settings, event: MoneyEvent) -> tuple[str, str] | None:
    nobody = unattributable(event.payer, own_addresses(settings))
    if nobody:
        return "unattributed", nobody
    accepted = {"eth": settings.eth.enabled, "usdc": settings.usdc.enabled}
    if not accepted.get(event.asset, False):
        return "wrong_asset", f"the {event.asset.upper()} rail is not enabled"
    return None


def _valued(
    settings: Settings, event: MoneyEvent, price: Price, evidence: dict[str, Any], tier: Tier | None
) -> Verdict:
    amount, decimals = int(event.amount), decimals_of(settings, event.asset)
    discount = tier.discount_bps if tier else 0
    hour = settings.pricing.usd_per_gpu_hour
    gpu_ms = credit_gpu_ms(amount, decimals, price, hour, discount)
    rail_minimum = settings.eth.minimum_wei if event.asset == "eth" else settings.usdc.minimum
    minimum = minimum_after_discount(rail_minimum, discount)
    terms = {
        "token_decimals": decimals,
        "discount_bps": discount,
        "usd_per_gpu_hour": str(hour),
        "usd_answer": str(price.answer),
        "usd_decimals": price.decimals,
        "minimum": str(minimum),
        "gpu_ms": str(gpu_ms),
    }
    state = "credited" if amount >= minimum else "below_min"
    return Verdict(state, f"at least {minimum} is needed", minimum, {**evidence, **terms})

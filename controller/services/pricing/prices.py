"""The prices that are believed, each with the evidence to work it out again.

The chain reader only reads; whether an answer is fresh, sane and seconded is decided here, for deposits,
quotes and the payment panel alike. There is no fallback to another block or to a fixed rate.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

from controller.domain.axgt_price import AxgtRules, axgt_problem, lesser
from controller.domain.pricing import DOLLAR, Price, price_problem
from controller.errors import PriceUnavailable, StateForgotten
from controller.services.deps import Deps
from controller.services.ports import Block, PriceEvidence

Asset = Literal["eth", "usdc", "axgt"]
NO_BOUND = Decimal(10**9)


@dataclass(frozen=True)
class Trusted:
    """US dollars for one whole token, and what says so; evidence is plain JSON, big numbers as text."""

    price: Price
    evidence: dict[str, Any]


def price_of(deps: Deps, asset: Asset, at: Block) -> Trusted:
    """The price of an asset at a block of its rail's chain.

    Raises:
        PriceUnavailable: there is none to be believed; the message says why.
        StateForgotten: the AXGT pool's state at that block is gone.
        ChainUnavailable: nothing could be read.
    """
    if asset == "eth":
        return _eth(deps, at)
    return _usdc(deps, at) if asset == "usdc" else _axgt(deps, at)


def _eth(deps: Deps, at: Block) -> Trusted:
    eth = deps.settings.eth
    found, how = _round(deps, "eth", at)
    if found is None:
        raise PriceUnavailable("There is no feed for ETH.")
    price = _fresh(found, at, eth.feed_heartbeat_s + eth.feed_grace_s, eth.min_usd, eth.max_usd)
    return Trusted(price, {"price": _plain(found, at, how)})


def _usdc(deps: Deps, at: Block) -> Trusted:
    """A fixed dollar, unless a feed says that it has lost it."""
    usdc = deps.settings.usdc
    found, how = _round(deps, "usdc", at)
    if found is None:
        return Trusted(DOLLAR, {"fixed_usd": "1"})
    max_age_s = usdc.feed_heartbeat_s + usdc.feed_grace_s
    price = _fresh(found, at, max_age_s, Decimal(0), NO_BOUND)
    usd = Decimal(price.answer).scaleb(-price.decimals)
    if usd < usdc.depeg_below_usd:
        raise PriceUnavailable(f"USDC is at {usd.normalize():f} USD, below {usdc.depeg_below_usd}")
    return Trusted(DOLLAR, {"fixed_usd": "1", "peg": _plain(found, at, how)})


def _axgt(deps: Deps, at: Block) -> Trusted:
    axgt = deps.settings.axgt
    found = deps.chains[deps.settings.chain_of("axgt").chain_id].axgt_usd(at.hash)
    price, second = lesser(found.twap, found.spot, found.decimals), None
    if found.second is not None:
        max_age_s = axgt.feed_heartbeat_s + axgt.feed_grace_s
        second = _fresh(found.second, at, max_age_s, axgt.min_usd, axgt.max_usd)
    rules = AxgtRules(
        axgt.min_usd, axgt.max_usd, axgt.liquidity_floor_usd, axgt.second_within_bps, axgt.single_source
    )
    problem = axgt_problem(price, found.liquidity_usd, second, rules)
    if problem:
        raise PriceUnavailable(problem)
    told = {**asdict(found), "twap": str(found.twap), "spot": str(found.spot), "block_number": at.number}
    told["second"] = None if found.second is None else _plain(found.second, at, "state")
    return Trusted(price, {"price": told})


def _round(deps: Deps, rail: Literal["eth", "usdc"], at: Block) -> tuple[PriceEvidence | None, str]:
    """The feed's round at a block: from that block's state, else found among the rounds of today's."""
    chain = deps.chains[deps.settings.chain_of(rail).chain_id]
    try:
        return (chain.eth_usd(at.hash) if rail == "eth" else chain.usdc_usd(at.hash)), "state"
    except StateForgotten:
        return chain.round_at(rail, at), "rounds"


def _fresh(found: PriceEvidence, at: Block, max_age_s: int, min_usd: Decimal, max_usd: Decimal) -> Price:
    price = Price(found.answer, found.decimals)
    problem = price_problem(
        price,
        updated_at_s=found.updated_at_s,
        at_s=at.timestamp_s,
        max_age_s=max_age_s,
        min_usd=min_usd,
        max_usd=max_usd,
    )
    if problem:
        raise PriceUnavailable(problem)
    return price


def _plain(found: PriceEvidence, at: Block, how: str) -> dict[str, Any]:
    """A feed's answer as evidence; `how` tells a block's state from rounds found later."""
    told = {**asdict(found), "answer": str(found.answer), "round_id": str(found.round_id)}
    return {**told, "block_number": at.number, "read_from": how}

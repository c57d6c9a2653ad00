"""When the AXGT price of a pool may be believed: the lesser of time-weighted and spot, seconded, and deep.

Source: payments.md 2.5. The lesser of the two is what an attacker gains least from: pushing the pool up
within a block moves spot only, and pushing it for half an hour costs what the liquidity floor asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from controller.domain.pricing import BPS, Price


@dataclass(frozen=True)
class AxgtRules:
    """What is asked of a price; `within_bps` is how far the second source may lie from it."""

    min_usd: Decimal
    max_usd: Decimal
    liquidity_floor_usd: int
    within_bps: int
    single_source: bool


def lesser(twap: int, spot: int, decimals: int) -> Price:
    """The price that counts, of the two that a pool gives."""
    return Price(min(twap, spot), decimals)


def axgt_problem(price: Price, liquidity_usd: int, second: Price | None, rules: AxgtRules) -> str | None:
    """Why a pool's price must not be believed; None when it may.

    Args:
        price: `lesser` of the pool.
        liquidity_usd: the pool's quote side in whole dollars.
        second: the second source's price, if there is one to be trusted.
        rules: of the operator.
    """
    usd = Decimal(price.answer).scaleb(-price.decimals)
    if price.answer <= 0:
        return "the pool has no price"
    if not rules.min_usd <= usd <= rules.max_usd:
        return f"{usd.normalize():f} USD lies outside {rules.min_usd} to {rules.max_usd}"
    if liquidity_usd < rules.liquidity_floor_usd:
        return f"the pool holds {liquidity_usd} USD, at least {rules.liquidity_floor_usd} are asked for"
    if second is None:
        return None if rules.single_source else "there is no second price"
    return _apart(price, second, rules.within_bps)


def _apart(price: Price, second: Price, within_bps: int) -> str | None:
    """Exact: |a - b| / b in basis points, without division."""
    one, other = price.answer * 10**second.decimals, second.answer * 10**price.decimals
    if abs(one - other) * BPS <= within_bps * other:
        return None
    return f"pool and second source differ by more than {within_bps / 100:g} %"

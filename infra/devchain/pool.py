"""What the local AXGT/USDC pool is set to for a price: tick, root and depth, as Uniswap v3 counts them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import isqrt

AXGT_DECIMALS = 18
USDC_DECIMALS = 6
FEED_DECIMALS = 8
_Q96 = 2**96


@dataclass(frozen=True)
class PoolPrice:
    """The pool's tokens in their order, and its price: smallest units of the second for one of the first."""

    tokens: tuple[str, str]
    tick: int
    sqrt_price_x96: int
    liquidity: int


def pool_price(axgt: str, usdc: str, usd_answer: int, usdc_depth: int) -> PoolPrice:
    """The state of a pool in which an AXGT costs `usd_answer` 10⁻⁸ USDC.

    Args:
        axgt: the token's address.
        usdc: the other's.
        usd_answer: as a price feed with 8 decimals would say it.
        usdc_depth: how much USDC lies in the pool, as if over all prices, in its smallest unit.
    """
    usdc_units, axgt_units = usd_answer * 10**USDC_DECIMALS, 10 ** (FEED_DECIMALS + AXGT_DECIMALS)
    axgt_first = int(axgt, 16) < int(usdc, 16)
    per, of = (usdc_units, axgt_units) if axgt_first else (axgt_units, usdc_units)
    root = isqrt(per * _Q96 * _Q96 // of)
    with localcontext() as context:
        context.prec = 60
        tick = int(
            ((Decimal(per) / Decimal(of)).ln() / Decimal("1.0001").ln()).to_integral_value("ROUND_FLOOR")
        )
    liquidity = usdc_depth * _Q96 // root if axgt_first else usdc_depth * root // _Q96
    return PoolPrice((axgt, usdc) if axgt_first else (usdc, axgt), tick, root, liquidity)

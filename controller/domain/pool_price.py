"""The US dollar price of a token in a Uniswap v3 pool, in integers: from the square root or the mean tick.

Source: Uniswap v3 core, TickMath.getSqrtRatioAtTick; periphery, OracleLibrary.consult. A pool's price is how
many smallest units of `token1` one smallest unit of `token0` costs, kept as its square root times 2**96.
"""

from __future__ import annotations

from dataclasses import dataclass

Q96 = 2**96
Q192 = 2**192
MAX_TICK = 887_272
DECIMALS = 18  # of the prices made here
_FACTORS = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)


@dataclass(frozen=True)
class PoolSide:
    """Which side of the pool is priced, and what the other one is worth.

    `quote_answer` / 10**`quote_answer_decimals` US dollars buy one whole token of the other side.
    """

    token_is_first: bool
    token_decimals: int
    quote_decimals: int
    quote_answer: int = 1
    quote_answer_decimals: int = 0


def mean_tick(then: int, now: int, seconds: int) -> int:
    """The mean tick between two readings of `observe`, `seconds` apart, rounded down as Uniswap does."""
    return (now - then) // seconds


def sqrt_price_at(tick: int) -> int:
    """The square root of a tick's price, times 2**96.

    Raises:
        ValueError: no pool has such a tick.
    """
    if abs(tick) > MAX_TICK:
        raise ValueError("the tick is out of range")
    ratio = 2**128
    for place, factor in enumerate(_FACTORS):
        if abs(tick) >> place & 1:
            ratio = ratio * factor >> 128
    if tick > 0:
        ratio = (2**256 - 1) // ratio
    return -(-ratio >> 32)  # rounded up


def usd_price(sqrt_price_x96: int, side: PoolSide) -> int:
    """US dollars for one whole token, times 10**18, floored.

    Raises:
        ValueError: the pool has no price.
    """
    if sqrt_price_x96 <= 0:
        raise ValueError("the pool has no price")
    square = sqrt_price_x96**2
    units, per = (square, Q192) if side.token_is_first else (Q192, square)
    worth = units * 10 ** (side.token_decimals + DECIMALS) * side.quote_answer
    return int(worth // (per * 10 ** (side.quote_decimals + side.quote_answer_decimals)))


def depth_usd(sqrt_price_x96: int, liquidity: int, quote_held: int, side: PoolSide) -> int:
    """How deep the pool is at its price: whole US dollars on the other side, floored.

    The lesser of what the liquidity in range stands for and what the pool really holds: the first alone can
    be blown up by a narrow range, the second by a gift.
    """
    in_range = (
        liquidity * sqrt_price_x96 // Q96
        if side.token_is_first
        else liquidity * Q96 // max(sqrt_price_x96, 1)
    )
    worth = min(in_range, quote_held) * side.quote_answer
    return int(worth // 10 ** (side.quote_decimals + side.quote_answer_decimals))

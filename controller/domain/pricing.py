"""What a deposit is worth in GPU-milliseconds: one integer formula, floored once.

Source: payments.md 2.5; specification, *Buy compute credits*. Discounts divide the price, so a holder's
minutes are value / (1 - d) and a holder's minimum is minimum x (1 - d). The bonus of the AXGT rail
multiplies: value x (1 + b).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

GPU_MS_PER_HOUR = 3_600_000
BPS = 10_000


@dataclass(frozen=True)
class Price:
    """US dollars for one whole token, as a feed says it: `answer / 10**decimals`."""

    answer: int
    decimals: int


DOLLAR = Price(1, 0)


def credit_gpu_ms(
    amount: int,
    token_decimals: int,
    price: Price,
    usd_per_gpu_hour: Decimal,
    discount_bps: int = 0,
    *,
    bonus_bps: int = 0,
) -> int:
    """GPU-milliseconds for an amount of a token; less than one is lost, once.

    Args:
        amount: in the token's smallest unit.
        token_decimals: of the token.
        price: of one whole token.
        usd_per_gpu_hour: what a GPU-hour costs, exact.
        discount_bps: the holder's discount in basis points, 0 to 9999.
        bonus_bps: what the rail adds, in basis points.
    """
    worth, per = _rate(token_decimals, price, usd_per_gpu_hour, discount_bps, bonus_bps)
    return amount * worth // per


def amount_for(
    gpu_ms: int,
    token_decimals: int,
    price: Price,
    usd_per_gpu_hour: Decimal,
    discount_bps: int = 0,
    *,
    bonus_bps: int = 0,
) -> int:
    """The least amount of a token, in its smallest unit, that `credit_gpu_ms` makes `gpu_ms` or more of."""
    worth, per = _rate(token_decimals, price, usd_per_gpu_hour, discount_bps, bonus_bps)
    return -(-gpu_ms * per // worth)


def _rate(
    token_decimals: int, price: Price, usd_per_gpu_hour: Decimal, discount_bps: int, bonus_bps: int
) -> tuple[int, int]:
    """GPU-milliseconds for one smallest unit of a token, as an exact fraction."""
    dollars, per = usd_per_gpu_hour.as_integer_ratio()
    worth = price.answer * GPU_MS_PER_HOUR * per * (BPS + bonus_bps)
    return worth, int(10 ** (token_decimals + price.decimals) * dollars * (BPS - discount_bps))


def readable_amount(amount: int, digits: int = 6) -> int:
    """An amount rounded up to so many significant digits, so that people can read and compare it."""
    step = int(10 ** max(len(str(amount)) - digits, 0))
    return -(-amount // step) * step


def cheaper_text(discount_bps: int, other_bps: int) -> str:
    """How much less a minute costs with the other discount: `5.2 %`, floored to a tenth of a percent."""
    tenths = (other_bps - discount_bps) * 1_000 // (BPS - discount_bps)
    return f"{tenths // 10}.{tenths % 10} %".replace(".0 %", " %")


def minimum_after_discount(minimum: int, discount_bps: int) -> int:
    """The least deposit of a holder, in the token's smallest unit, floored."""
    return minimum * (BPS - discount_bps) // BPS


def price_problem(
    price: Price, *, updated_at_s: int, at_s: int, max_age_s: int, min_usd: Decimal, max_usd: Decimal
) -> str | None:
    """Why a feed's answer must not be believed at a block; None when it may.

    Args:
        price: the feed's answer.
        updated_at_s: when the feed's round was written; 0 for a round that is not complete.
        at_s: the block's time.
        max_age_s: the feed's heartbeat and its grace.
        min_usd: below this the answer is not sane.
        max_usd: above this it is not, either.
    """
    usd = Decimal(price.answer).scaleb(-price.decimals)
    if price.answer <= 0 or updated_at_s <= 0:
        return "the feed has no complete round"
    if updated_at_s > at_s:
        return "the feed's round is newer than the block"
    if at_s - updated_at_s > max_age_s:
        return f"the feed is {at_s - updated_at_s} s old, at most {max_age_s} s are accepted"
    if not min_usd <= usd <= max_usd:
        return f"{usd.normalize():f} USD lies outside {min_usd} to {max_usd}"
    return None


def amount_text(amount: int, decimals: int) -> str:
    """A token amount as an exact decimal without trailing zeros."""
    whole, rest = divmod(amount, 10**decimals)
    fraction = f"{rest:0{decimals}d}".rstrip("0") if decimals and rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def minutes_text(gpu_ms: int) -> str:
    """Minutes on one GPU, floored to a tenth; a debt is floored away from zero, never shown smaller."""
    tenths = gpu_ms // 6_000
    sign, tenths = ("-", -tenths) if tenths < 0 else ("", tenths)
    return f"{sign}{tenths // 10}.{tenths % 10}"

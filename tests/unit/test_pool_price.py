"""Prices out of a Uniswap v3 pool, against the constants of its own TickMath and against plain fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.pool_price import (
    MAX_TICK,
    Q96,
    Q192,
    PoolSide,
    depth_usd,
    mean_tick,
    sqrt_price_at,
    usd_price,
)


def test_ticks_have_the_roots_that_uniswap_gives_them():
    """TickMath.MIN_SQRT_RATIO, MAX_SQRT_RATIO, and tick 0."""
    assert sqrt_price_at(-MAX_TICK) == 4295128739
    assert sqrt_price_at(MAX_TICK) == 1461446703485210103287273052203988822378723970342
    assert sqrt_price_at(0) == Q96
    with pytest.raises(ValueError, match="range"):
        sqrt_price_at(MAX_TICK + 1)


@given(st.integers(-MAX_TICK, MAX_TICK - 1))
def test_roots_rise_by_half_a_basis_point_a_tick(tick: int):
    ratio = Fraction(sqrt_price_at(tick + 1) ** 2, sqrt_price_at(tick) ** 2)
    assert abs(ratio - Fraction(10_001, 10_000)) < Fraction(1, 10**6)


def test_a_mean_tick_is_rounded_down():
    assert [mean_tick(0, n, 2) for n in (5, -5, 4, -4)] == [2, -3, 2, -2]


SIDES = st.builds(
    PoolSide,
    st.booleans(),
    st.integers(0, 24),
    st.integers(0, 24),
    st.integers(1, 10**12),
    st.integers(0, 12),
)


@given(st.integers(2**64, 2**128), SIDES)
def test_a_price_is_the_exact_fraction_floored(root: int, side: PoolSide):
    units = Fraction(root**2, Q192) if side.token_is_first else Fraction(Q192, root**2)
    quote_usd = Fraction(side.quote_answer, 10**side.quote_answer_decimals)
    whole = units * 10**side.token_decimals / 10**side.quote_decimals * quote_usd
    assert usd_price(root, side) == whole * 10**18 // 1


def test_a_pool_without_a_price_has_none():
    with pytest.raises(ValueError, match="no price"):
        usd_price(0, PoolSide(True, 18, 6))


@pytest.mark.parametrize("first", [True, False])
def test_depth_is_the_lesser_of_range_and_holdings(first: bool):
    side = PoolSide(first, 18, 6)
    root = Q96 // 1000 if first else Q96 * 1000
    liquidity = 5_000_000 * 10**6 * 1000
    assert depth_usd(root, liquidity, 2_000_000 * 10**6, side) == 2_000_000
    assert depth_usd(root, liquidity, 9_000_000 * 10**6, side) in (4_999_999, 5_000_000)
    assert depth_usd(root, 0, 9_000_000 * 10**6, side) == 0

"""The one formula of money: exact, floored once, never in the payer's favour by more than it says."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.pricing import (
    DOLLAR,
    Price,
    amount_for,
    amount_text,
    cheaper_text,
    credit_gpu_ms,
    minimum_after_discount,
    minutes_text,
    price_problem,
    readable_amount,
)

amounts = st.integers(0, 2**256 - 1)
prices = st.builds(Price, st.integers(1, 10**15), st.integers(0, 18))
discounts = st.integers(0, 9_999)
bonuses = st.integers(0, 100_000)
hours = st.decimals(Decimal("0.0001"), Decimal(1000), places=4)


@pytest.mark.parametrize(
    ("amount", "discount", "gpu_ms"),
    [
        (500_000_000_000_000, 0, 3_600_000),  # 0.0005 ETH at 2000 USD is a dollar, an hour
        (500_000_000_000_000, 2_500, 4_800_000),  # 25 % off is a third more time
        (1, 0, 0),
    ],
)
def test_known_deposits(amount, discount, gpu_ms):
    assert credit_gpu_ms(amount, 18, Price(2_000 * 10**8, 8), Decimal(1), discount) == gpu_ms


def test_a_dollar_of_usdc_is_an_hour():
    assert credit_gpu_ms(1_000_000, 6, DOLLAR, Decimal(1)) == 3_600_000


def test_a_dollar_of_axgt_is_an_hour_and_a_quarter():
    assert credit_gpu_ms(100 * 10**18, 18, Price(1, 2), Decimal(1), bonus_bps=2_500) == 4_500_000


@given(amounts, prices, hours, discounts, bonuses)
def test_floored_once(amount, price, hour, discount, bonus):
    exact = Fraction(amount, 10**18) * Fraction(price.answer, 10**price.decimals) * 3_600_000
    exact *= Fraction(10_000 + bonus, 10_000)
    exact /= Fraction(hour) * Fraction(10_000 - discount, 10_000)
    assert 0 <= exact - credit_gpu_ms(amount, 18, price, hour, discount, bonus_bps=bonus) < 1


@given(amounts, st.integers(0, 10**30), prices, hours, discounts)
def test_more_never_brings_less(amount, more, price, hour, discount):
    def worth(amount):
        return credit_gpu_ms(amount, 18, price, hour, discount)

    assert worth(amount) <= worth(amount + more)


@given(st.integers(0, 10**15), prices, hours, discounts, bonuses)
def test_the_amount_for_a_time_is_the_least_that_brings_it(gpu_ms, price, hour, discount, bonus):
    def worth(amount):
        return credit_gpu_ms(amount, 18, price, hour, discount, bonus_bps=bonus)

    amount = amount_for(gpu_ms, 18, price, hour, discount, bonus_bps=bonus)
    assert worth(amount) >= gpu_ms
    assert amount == 0 or worth(amount - 1) < gpu_ms


@given(amounts)
def test_a_readable_amount_is_hardly_more_and_never_less(amount):
    shown = readable_amount(amount)
    assert 0 <= shown - amount <= Fraction(amount, 10**5)
    assert len(str(shown).rstrip("0")) <= 6
    assert readable_amount(shown) == shown


@pytest.mark.parametrize(
    ("now", "then", "text"), [(0, 500, "5 %"), (500, 1_000, "5.2 %"), (1_500, 2_500, "11.7 %"), (0, 0, "0 %")]
)
def test_a_higher_tier_is_told_as_what_a_minute_costs_less(now, then, text):
    assert cheaper_text(now, then) == text


@given(amounts, amounts, prices, hours, discounts)
def test_splitting_a_deposit_gains_nothing(one, other, price, hour, discount):
    def worth(amount):
        return credit_gpu_ms(amount, 18, price, hour, discount)

    assert worth(one) + worth(other) <= worth(one + other) <= worth(one) + worth(other) + 1


@given(amounts, prices, hours, discounts, discounts)
def test_a_higher_discount_never_brings_less(amount, price, hour, one, other):
    low, high = sorted((one, other))
    assert credit_gpu_ms(amount, 18, price, hour, low) <= credit_gpu_ms(amount, 18, price, hour, high)


@given(st.integers(1, 10**20), discounts)
def test_the_minimum_shrinks_with_the_discount(minimum, discount):
    exact = Fraction(minimum * (10_000 - discount), 10_000)
    assert 0 <= exact - minimum_after_discount(minimum, discount) < 1


SANE = Price(2_000 * 10**8, 8)


def problem(price=SANE, updated=990, at=1_000, age=60):
    return price_problem(
        price,
        updated_at_s=updated,
        at_s=at,
        max_age_s=age,
        min_usd=Decimal(100),
        max_usd=Decimal(100_000),
    )


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, None),
        ({"updated": 940}, None),
        ({"updated": 939}, "old"),
        ({"updated": 1_001}, "newer"),
        ({"updated": 0}, "round"),
        ({"price": Price(0, 8)}, "round"),
        ({"price": Price(-5, 8)}, "round"),
        ({"price": Price(100 * 10**8, 8)}, None),
        ({"price": Price(100 * 10**8 - 1, 8)}, "outside"),
        ({"price": Price(100_000 * 10**8 + 1, 8)}, "outside"),
    ],
)
def test_only_a_sane_fresh_price_is_believed(changed, word):
    found = problem(**changed)
    assert found is None if word is None else word in (found or "")


@given(st.integers(0, 2**256), st.integers(0, 30))
def test_an_amounts_text_is_exact(amount, decimals):
    shown = amount_text(amount, decimals)
    assert Fraction(shown) * 10**decimals == amount
    assert not ("." in shown and shown.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("gpu_ms", "shown"),
    [(0, "0.0"), (5_999, "0.0"), (6_000, "0.1"), (3_600_000, "60.0"), (-1, "-0.1"), (-66_000, "-1.1")],
)
def test_minutes_are_floored(gpu_ms, shown):
    assert minutes_text(gpu_ms) == shown

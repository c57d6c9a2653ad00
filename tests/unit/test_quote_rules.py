"""Which deposit a quote holds for: never one that was on its way when the price was known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.quotes import SKEW_MS, Held, Paid, Wish, holds, wish_of

NOW = 1_800_000_000_000
QUOTE = Held("0xa", "eth", 1, 10**15, 100, NOW, NOW + 900_000)
PAID = Paid("0xa", "eth", 1, 10**15, 101, NOW // 1000 + 12, NOW + 13_000)


def test_it_holds_for_the_amount_it_was_made_for():
    assert holds(QUOTE, PAID)


@pytest.mark.parametrize(
    "changed",
    [
        {"payer": "0xb"},
        {"asset": "usdc"},
        {"chain_id": 2},
        {"amount": 10**15 + 1},
        {"amount": 10**15 - 1},
        {"block_number": 100},
        {"block_number": 99},
        {"block_time_s": NOW // 1000 + 901},
        {"block_time_s": NOW // 1000 - SKEW_MS // 1000},
        {"seen_at_ms": NOW - SKEW_MS},
    ],
)
def test_it_holds_for_nothing_else(changed):
    assert not holds(QUOTE, replace(PAID, **changed))


def test_the_last_second_counts():
    assert holds(QUOTE, replace(PAID, block_time_s=QUOTE.expires_at_ms // 1000))


@given(
    st.integers(-50, 50),
    st.integers(-2_000_000, 2_000_000),
    st.integers(-2_000_000, 2_000_000),
    st.integers(0, 10**18),
)
def test_no_deposit_older_than_the_quote_and_none_after_it_gets_its_price(blocks, mined_ms, seen_ms, amount):
    paid = replace(
        PAID,
        amount=amount,
        block_number=QUOTE.block_number + blocks,
        block_time_s=(NOW + mined_ms) // 1000,
        seen_at_ms=NOW + seen_ms,
    )
    if holds(QUOTE, paid):
        assert paid.amount == QUOTE.amount
        assert paid.block_number > QUOTE.block_number
        assert NOW - SKEW_MS < paid.block_time_s * 1000 <= QUOTE.expires_at_ms
        assert paid.seen_at_ms > NOW - SKEW_MS


@pytest.mark.parametrize(
    ("amount", "hours", "wish"),
    [
        ("min", None, Wish()),
        ("1", None, Wish(amount=1)),
        ("9" * 78, None, Wish(amount=int("9" * 78))),
        (None, 1, Wish(gpu_hours=1)),
        (None, 100, Wish(gpu_hours=100)),
    ],
)
def test_wishes(amount, hours, wish):
    assert wish_of(amount, hours) == wish


@pytest.mark.parametrize(
    ("amount", "hours"),
    [
        (None, None), ("min", 1), ("", None), ("0", None), ("000", None), ("-1", None), ("+1", None), ("1.0", None),
        ("1e18", None), (" 1", None), ("1\n", None), ("0x10", None), ("٣", None), ("9" * 79, None), (1, None),
        (1.5, None), ([1], None), (True, None), (None, 0), (None, -1), (None, 1.0), (None, "1"), (None, True),
    ],
)  # fmt: skip
def test_what_is_no_wish(amount, hours):
    with pytest.raises(ValueError, match=r"amount|gpu_hours"):
        wish_of(amount, hours)


def test_wishes_are_told_apart():
    texts = [wish_of(*fields).text for fields in (("min", None), ("5", None), (None, 5), ("05", None))]
    assert texts == ["min", "amount:5", "hours:5", "amount:5"]

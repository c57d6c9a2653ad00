"""The holder tiers of the specification, at their edges."""

from __future__ import annotations

import pytest

from controller.domain.tiers import tier_of
from controller.settings import Pricing

TABLE = Pricing().tiers


@pytest.mark.parametrize(
    ("tokens", "index", "discount"),
    [
        (0, 0, 0),
        (99, 0, 0),
        (100, 1, 500),
        (999, 1, 500),
        (1_000, 2, 1_000),
        (9_999, 2, 1_000),
        (10_000, 3, 1_500),
        (99_999, 3, 1_500),
        (100_000, 4, 2_500),
        (10**12, 4, 2_500),
    ],
)
def test_the_specifications_table(tokens, index, discount):
    tier = tier_of(tokens * 10**18, 18, TABLE)
    assert (tier.index, tier.discount_bps) == (index, discount)


def test_a_holding_is_floored_to_whole_tokens():
    assert tier_of(100 * 10**18 - 1, 18, TABLE).index == 0


def test_labels_and_what_comes_next():
    assert tier_of(0, 18, TABLE).label == "Tier 0"
    assert tier_of(10_000 * 10**18, 18, TABLE).label == "Tier 3 (15 % off)"
    assert tier_of(0, 18, [(0, 125)]).label == "Tier 0 (1.25 % off)"
    assert tier_of(0, 18, TABLE).next_floor == 100
    assert tier_of(10**30, 18, TABLE).next_floor is None

"""When so many GPUs will probably be free: the mean of a maximum, checked against draws of the same people."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.planner.likely import likely_free

lengths = st.lists(st.integers(1, 10**9), max_size=8)


def all_of(left: list[int]) -> float:
    """A host of sessions with a GPU each, all of which are awaited."""
    return likely_free(len(left), tuple((one, 1) for one in sorted(left)))


def test_a_session_alone_takes_a_third_of_the_time_it_has():
    assert likely_free(8, ((9_000, 8),)) == pytest.approx(3_000, rel=0.01)


def test_who_need_not_be_awaited_does_not_count():
    assert likely_free(0, ((9_000, 4),)) == likely_free(-3, ()) == 0
    assert likely_free(4, ((9_000, 4), (90_000, 4))) == likely_free(4, ((9_000, 4),))
    assert likely_free(1, ()) == math.inf


@pytest.mark.parametrize("left", [[60, 60], [60, 20, 5], [100] * 8, [480, 30, 30, 30]])
def test_it_is_the_mean_instant_at_which_the_last_of_them_has_left(left: list[int]):
    draw = random.Random(1)
    # 1 - (1 - t)^2 is the distribution of the smaller of two uniform draws.
    lasts = [max(one * min(draw.random(), draw.random()) for one in left) for _ in range(20_000)]
    assert all_of(left) == pytest.approx(sum(lasts) / len(lasts), rel=0.03)


@given(lengths, st.integers(1, 10**9))
def test_one_more_session_never_makes_it_sooner(left: list[int], more: int):
    before = all_of(left)
    assert 0 <= before <= max(left, default=0)
    assert all_of([*left, more]) >= before * 0.999

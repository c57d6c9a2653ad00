"""When so many GPUs will probably be free: the mean of a maximum, checked against draws of the same people."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.planner.likely import likely_free

sessions = st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from((1, 2, 4))), max_size=8)


def test_a_session_alone_takes_a_third_of_the_time_it_has():
    assert likely_free(0, 8, [(9_000, 8)]) == pytest.approx(3_000, rel=0.01)


def test_who_need_not_be_awaited_does_not_count():
    assert likely_free(4, 4, [(9_000, 4)]) == 0
    assert likely_free(0, 4, [(9_000, 4), (90_000, 4)]) == likely_free(0, 8, [(9_000, 8)])
    assert likely_free(7, 8, []) == math.inf


@pytest.mark.parametrize("left", [[60, 60], [60, 20, 5], [100] * 8, [480, 30, 30, 30]])
def test_it_is_the_mean_instant_at_which_the_last_of_them_has_left(left: list[int]):
    draw = random.Random(1)
    # 1 - (1 - t)^2 is the distribution of the smaller of two uniform draws.
    lasts = [max(one * min(draw.random(), draw.random()) for one in left) for _ in range(20_000)]
    mean = sum(lasts) / len(lasts)
    assert likely_free(0, len(left), [(one, 1) for one in left]) == pytest.approx(mean, rel=0.03)


@given(sessions, st.integers(0, 10**9))
def test_one_more_session_or_a_longer_one_never_makes_it_sooner(some, more):
    gpus = sum(count for _, count in some)
    base = likely_free(0, gpus, some)
    assert 0 <= base <= max((left for left, _ in some), default=0)
    assert likely_free(0, gpus + 1, [*some, (more, 1)]) >= base * 0.97  # steps of a sum, not the integral

"""The guess beside a promise: nine of ten, never before now, never after the plan."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.queue_guess import LEAST, probable_start


def test_nine_of_ten_have_started_by_then():
    past = [n / 100 for n in range(1, 101)]
    assert probable_start(0, 0, 1_000, 1_000, past) == 900
    assert probable_start(500, 0, 1_000, 1_000, past) == 950, "those that waited less tell nothing"


def test_without_history_the_plan_is_the_guess():
    assert probable_start(0, 0, 1_000, 700, [0.1] * (LEAST - 1)) == 700


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.lists(st.floats(0, 1), max_size=60))
def test_it_lies_between_now_and_the_plan(now, planned, past):
    assert now <= probable_start(now, 0, 1_000, planned, past) <= max(now, planned)

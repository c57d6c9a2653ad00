"""Storage: every byte-millisecond without a session is charged once, whatever the order of reports and restarts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli.homes import days
from controller.domain.storage_fee import (
    DAY_MS,
    GB,
    HOUR_MS,
    UNITS_PER_GPU_MS,
    Mark,
    cost,
    days_left,
    gpu_ms_per_day,
    settle,
)

RATE = 3_000
ROOM = 10**18
sizes = st.integers(0, 20 * 10**12)
spans = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 900)), max_size=5)


def test_the_price_is_the_specified_one():
    """0.05 GPU-minute per GB-hour: 20 GB for an hour are one minute."""
    assert cost(20 * GB, HOUR_MS, RATE, 0) == (60_000, 0)
    assert gpu_ms_per_day(GB, RATE) == 24 * RATE
    assert days_left(10 * 24 * RATE, GB, RATE) == 10
    assert days_left(1, 0, RATE) is None
    assert days_left(-5, GB, RATE) == 0


@pytest.mark.parametrize(
    ("left", "said"),
    [(None, "for ever"), (0, "0 days"), (1, "1 day"), (3_650, "3650 days"), (3_651, "over ten years")],
)
def test_how_long_a_balance_lasts_is_said_as_people_say_it(left, said):
    assert days(left) == said


@given(sizes, st.lists(st.integers(-500, 3_000), max_size=20), spans, st.integers(0, 2))
def test_any_order_of_settling_charges_each_millisecond_once(size, instants, gaps, rate):
    """Against an oracle that looks at each millisecond by itself."""
    sessions, at = [], 0
    for pause, length in gaps:
        sessions.append((at + pause, at + pause + length))
        at += pause + length
    marked, remainder, charged, windows = 0, 0, 0, []
    for until in instants:  # reports late, early, twice, from a clock that steps back
        for stretch in settle(Mark(marked, remainder, size, rate * RATE, ROOM), until, sessions):
            windows.append(stretch)
            charged += stretch.gpu_ms
            marked, remainder = stretch.to_ms, stretch.remainder
    end = max([0, *instants])
    offline = sum(not any(a <= ms < b for a, b in sessions) for ms in range(end))
    assert marked == end
    assert charged * UNITS_PER_GPU_MS + remainder == size * offline * rate * RATE
    assert 0 <= remainder < UNITS_PER_GPU_MS
    mark = 0
    for window in windows:
        assert window.from_ms == mark < window.to_ms
        mark = window.to_ms


@given(sizes, st.integers(0, 10**6), st.integers(0, UNITS_PER_GPU_MS - 1), st.integers(1, 10**9))
def test_it_never_takes_more_than_the_room_and_stops_at_the_last_instant(size, room, remainder, until):
    found = settle(Mark(0, remainder, size, RATE, room), until, [])
    assert sum(s.gpu_ms for s in found) <= room
    end = found[-1].to_ms if found else 0
    if end < until:  # one millisecond more would have cost more than there is
        assert cost(size, end + 1, RATE, remainder)[0] > room


@given(st.integers(1, 10**13), st.lists(st.integers(0, 10**7), max_size=30))
def test_sizes_that_change_add_up(size, lengths):
    """The remainder carries over a change of size and of rate."""
    at = remainder = charged = units = 0
    for number, length in enumerate(lengths):
        now, rate = size // (number + 1), RATE + number
        for stretch in settle(Mark(at, remainder, now, rate, ROOM), at + length, []):
            at, remainder, charged = stretch.to_ms, stretch.remainder, charged + stretch.gpu_ms
        units += now * length * rate
    assert charged * UNITS_PER_GPU_MS + remainder == units


def test_days_are_whole_and_cautious():
    assert days_left(DAY_MS, 10 * GB, RATE) * gpu_ms_per_day(10 * GB, RATE) <= DAY_MS

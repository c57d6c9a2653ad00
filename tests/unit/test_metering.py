"""The meter: billed = true time x GPUs, exactly, under any order of heartbeats, ticks, restarts, clock steps."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.metering import (
    Ending,
    endings,
    exhausts_at,
    minutes_left,
    proof_of_life,
    settle,
    unbilled,
    warning_threshold,
)

gpus = st.sampled_from([1, 2, 4, 8])
# (true time passes, the server's clock is off by, what happens)
moves = st.lists(
    st.tuples(
        st.integers(0, 200_000),
        st.sampled_from([0, 0, 0, 3_600_000, 86_400_000]),
        st.sampled_from(["report", "heartbeat", "tick", "tick twice", "restart"]),
    ),
    max_size=80,
)


@given(gpus, moves)
def test_every_millisecond_with_proof_is_billed_once(count, happened):
    """Only the mark and the proof survive a restart, and that is enough; an oracle counts true time."""
    ready = true_ms = mark = proof = 1_000_000
    windows = []
    for pause, ahead, what in happened:
        true_ms += pause
        if what == "report":
            proof = proof_of_life(proof, true_ms, true_ms + ahead)
        for _ in range({"report": 0, "restart": 0, "tick twice": 2}.get(what, 1)):
            window = settle(mark, proof, 10**15, count)
            if window:
                windows.append(window)
                mark = window.to_ms
    final = settle(mark, proof, 10**15, count)
    windows += [final] if final else []
    assert sum(w.charge_gpu_ms for w in windows) == (proof - ready) * count
    for before, after in itertools.pairwise(windows):
        assert before.to_ms == after.from_ms, "windows touch and never overlap"
    assert all(w.from_ms == ready for w in windows[:1])


@given(gpus, st.integers(0, 10**9), st.lists(st.integers(0, 10**7), max_size=30))
def test_a_session_never_costs_more_than_the_balance(count, balance, pauses):
    mark = now = 5_000
    left = balance
    for pause in pauses:
        now += pause
        window = settle(mark, now, left, count)
        if window:
            left -= window.charge_gpu_ms
            mark = window.to_ms
        assert left >= 0
    if now >= exhausts_at(5_000, balance, count):
        assert mark == exhausts_at(5_000, balance, count)
        assert left < count, "what is left does not buy one more millisecond"


@given(gpus, st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_exhaustion_instant_does_not_depend_on_when_one_looks(count, balance, part):
    spent = min(part, balance) // count
    assert exhausts_at(spent, balance - spent * count, count) == exhausts_at(0, balance, count)


def test_a_clock_that_steps_back_charges_nothing():
    assert settle(1_000, 400, 10**9, 1) is None
    assert unbilled(1_000, 400, 1, "gap") is None


def test_proof_moves_forward_only_and_never_beyond_the_servers_clock():
    assert proof_of_life(None, 500, 1_000) == 500
    assert proof_of_life(700, 500, 1_000) == 700
    assert proof_of_life(700, 9_000, 1_000) == 1_000


def test_gaps_and_grace_cost_nothing():
    gap = unbilled(0, 60_000, 8, "gap")
    grace = unbilled(0, 60_000, 8, "grace")
    assert gap is not None
    assert grace is not None
    assert (gap.charge_gpu_ms, grace.charge_gpu_ms) == (0, 0)


def test_minutes_are_floored_and_a_debt_lasts_none():
    assert minutes_left(119_999, 1) == 1
    assert minutes_left(480_000 * 3, 8) == 3
    assert minutes_left(-5, 1) == 0


def test_only_the_tightest_threshold_warns():
    assert warning_threshold(31 * 60_000, [30, 10, 3]) is None
    assert warning_threshold(30 * 60_000, [30, 10, 3]) == 30
    assert warning_threshold(5 * 60_000, [30, 10, 3]) == 10
    assert warning_threshold(-1, [30, 10, 3]) == 3


def test_both_ends_are_to_be_warned_of_the_nearer_first():
    assert endings(None, None) == []
    assert endings(5, 9) == [Ending("balance", 5), Ending("guarantee", 9)]
    assert endings(9, 5) == [Ending("guarantee", 5), Ending("balance", 9)]
    assert [end.kind for end in endings(5, 5)] == ["guarantee", "balance"], "a top-up would not help"
    assert endings(None, 5) == [Ending("guarantee", 5)]

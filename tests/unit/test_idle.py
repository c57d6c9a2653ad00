"""Idle truth: only what is proven idle, for long enough and after a notice, ends; everything else goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.idle import GAP_MS, Idle, Limits, Measure, after_ms, busy_with, decide, measured

LIMITS = Limits(cpu_percent=10, gpu_percent=5, io_kib_per_s=64)
BEGAN, STEP, AFTER, NOTICE = 1_000_000, 15_000, 30 * 60_000, 5 * 60_000
REST = Measure(0, 0, input=False, cpu_percent=1.5, gpu_percent=0, io_kib_per_s=2)


def lived(measures, *, notices=True):
    """Every decision on the way, and what is known at the end."""
    idle, decisions = Idle(BEGAN, BEGAN), []
    for measure in measures:
        idle = measured(idle, measure, LIMITS)
        decisions.append(decide(idle, AFTER, NOTICE))
        if decisions[-1] == "notice" and notices:
            idle = replace(idle, noticed_at_ms=measure.to_ms)
    return decisions, idle


def at_rest(count, first=0):
    return [
        replace(REST, from_ms=BEGAN + n * STEP, to_ms=BEGAN + (n + 1) * STEP)
        for n in range(first, first + count)
    ]


def test_a_forgotten_desktop_is_told_and_then_ends():
    decisions, _ = lived(at_rest(140))
    assert decisions.index("notice") == AFTER // STEP - 1
    assert decisions.count("notice") == 1
    assert decisions.index("end") == (AFTER + NOTICE) // STEP - 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"input": True}, "input"),
        ({"cpu_percent": 99.0}, "CPU"),
        ({"gpu_percent": 40.0}, "GPU"),
        ({"io_kib_per_s": 5_000.0}, "I/O"),
        ({"input": None}, "unknown"),
        ({"cpu_percent": None}, "unknown"),
        ({"gpu_percent": None}, "unknown"),
        ({"io_kib_per_s": None}, "unknown"),
    ],
)
def test_any_of_the_four_and_anything_unmeasured_keeps_it(change, what):
    busy = [replace(one, **change) for one in at_rest(1_000)]
    assert busy_with(busy[0], LIMITS) == what
    assert set(lived(busy)[0]) == {"nothing"}


def test_a_sign_of_life_after_the_notice_voids_it():
    told = at_rest(AFTER // STEP + 5)
    life = [replace(one, input=True) for one in at_rest(1, len(told))]
    after = at_rest(AFTER // STEP + 30, len(told) + 1)
    decisions, _ = lived([*told, *life, *after])
    assert decisions.count("notice") == 2
    second = len(decisions) - 1 - decisions[::-1].index("notice")
    assert decisions.index("end") == second + NOTICE // STEP


numbers = st.none() | st.floats(0, 200)
MEASURES = st.lists(
    st.tuples(st.integers(0, 5 * GAP_MS), st.integers(1, 60_000), st.none() | st.booleans(), *[numbers] * 3)
)


@given(MEASURES)
def test_an_end_has_proof_without_a_hole(rows):
    at, measures = BEGAN, []
    for pause, length, *seen in rows:
        measures.append(Measure(at + pause, at + pause + length, *seen))
        at += pause + length
    decisions, _ = lived(measures)
    for n, decision in enumerate(decisions):
        if decision == "nothing":
            continue
        needed = AFTER if decision == "notice" else AFTER + NOTICE
        chain, k = measures[n].to_ms, n
        while k >= 0 and not busy_with(measures[k], LIMITS):
            begins = measures[k].from_ms if k else BEGAN
            before = measures[k - 1].to_ms if k else BEGAN
            k -= 1
            if measures[k + 1].from_ms > before + GAP_MS:
                chain_from = begins
                break
            chain_from = before
        assert chain - chain_from >= needed


@given(
    st.lists(st.sampled_from([True, False]), min_size=60, max_size=400),
    st.sampled_from(["cpu_percent", "gpu_percent", "io_kib_per_s"]),
)
def test_a_training_run_is_never_ended_for_a_quiet_mouse(busy, which):
    """Work in bursts, never further apart than the time that may pass idle; nobody touches anything."""
    measures = at_rest(len(busy))
    last = 0
    for n, works in enumerate(busy):
        if works or n - last >= AFTER // STEP - 1:
            measures[n] = replace(measures[n], **{which: 90.0})
            last = n
    assert "end" not in lived(measures)[0]


@given(MEASURES, st.data())
def test_late_and_repeated_measures_change_nothing(rows, data):
    at, measures = BEGAN, []
    for pause, length, *seen in rows:
        measures.append(Measure(at + pause, at + pause + length, *seen))
        at += pause + length
    idle = Idle(BEGAN, BEGAN)
    for measure in measures:
        idle = measured(idle, measure, LIMITS)
    for measure in data.draw(st.permutations(measures)):
        assert measured(idle, measure, LIMITS) == idle


def test_off_unless_wanted_and_the_shorter_counts():
    assert after_ms(0, 0) == 0
    assert decide(Idle(0, 10**12), after_ms(0, 0), NOTICE) == "nothing"
    assert (after_ms(60, 0), after_ms(0, 30), after_ms(60, 30), after_ms(30, 240)) == (
        60 * 60_000, 30 * 60_000, 30 * 60_000, 30 * 60_000,
    )  # fmt: skip

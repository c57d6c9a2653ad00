"""A seeded sample of the crash bench, and that its batches can be seen again one by one."""

from __future__ import annotations

import importlib
from itertools import islice

import pytest
from crash_cases import batches
from crash_points import POINTS, faults
from crash_run import measure

pytestmark = pytest.mark.integration
SEED, RUNS = 20, 34
NEVER = ("orphans", "untrue_states", "double_gpus", "billed_without_proof_ms", "bills_that_do_not_add_up")


def pairs(made):
    return [(point.name, batch.fault) for batch in made for point in batch.points]


def test_every_pair_of_step_and_fault_comes_once_before_any_comes_again():
    everything = {(point.name, fault) for point in POINTS for fault in faults(point)}
    assert len(everything) > 300
    seen = []
    for batch in batches(3):
        seen += pairs([batch])
        if len(seen) >= len(everything):
            break
    assert (len(seen), set(seen)) == (len(everything), everything)


def test_a_batch_is_the_same_whenever_it_is_made():
    assert list(islice(batches(7), 150)) == list(islice(batches(7), 150))
    assert pairs(islice(batches(7), 20)) != pairs(islice(batches(8), 20))


def test_the_sample_has_every_fault_and_every_operation():
    sample, runs = [], 0
    for batch in batches(SEED):
        sample.append(batch)
        runs += len(batch.points)
        if runs >= RUNS:
            break
    assert {batch.fault for batch in sample} == {fault for point in POINTS for fault in faults(point)}
    assert {point.op for batch in sample for point in batch.points} == {point.op for point in POINTS}


@pytest.mark.parametrize("target", sorted({point.target for point in POINTS}))
def test_every_step_is_a_function_of_the_program(target):
    module, _, path = target.partition(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    assert callable(found)


@pytest.mark.timeout(900)
def test_nothing_is_left_doubled_or_billed_whatever_is_killed():
    said = []
    try:
        figures = measure(RUNS, SEED, said.append)["figures"]
    except TimeoutError as error:
        pytest.fail("\n".join([str(error), *said]))
    told = "\n".join([str(figures), *said])
    assert [line for line in said if line.startswith("PROBLEM")] == [], told
    assert {name: figures[name] for name in NEVER} == dict.fromkeys(NEVER, 0), told
    assert figures["runs"] >= RUNS
    assert figures["steps_not_reached"] <= RUNS // 4, "\n".join(said)

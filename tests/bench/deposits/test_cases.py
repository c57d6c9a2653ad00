"""Every case, once with watchers only, once with pasted hashes only, once with both; and that a seed replays.

A case that fails here is played again, alone, by what its message says.
"""

from __future__ import annotations

import pytest

from deposits.cases.table import CASES
from deposits.play import play

pytestmark = pytest.mark.integration

SEEDS = 3


@pytest.mark.parametrize("name", CASES)
def test_credited_exactly_once(stage, name):
    for seed in range(SEEDS):
        result = play(CASES[name], seed, stage)
        again = f"axonos bench deposits --case {name} --seed {seed} ({result.mode}, {result.faults})"
        assert result.ok, "\n".join([again, *result.problems])


def test_there_are_enough_cases():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", ["mined-again-after-the-credit/eth", "two-halves/usdc", "nodes-agree/eth"])
def test_a_seed_takes_the_same_steps_again(stage, name):
    for seed in range(2 * SEEDS):
        first, second = play(CASES[name], seed, stage), play(CASES[name], seed, stage)
        assert first.order == second.order
        assert first.faults == second.faults


def test_other_seeds_take_other_steps(stage):
    orders = {play(CASES["direct/usdc"], seed, stage).order_hash for seed in range(12)}
    assert len(orders) == 12

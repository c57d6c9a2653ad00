"""Every case, once with watchers only, once with pasted hashes only, once with both; and that a seed replays.

A case that fails here is played again, alone, by what its message says.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deposits.cases.registry import MODES
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


def test_every_row_of_the_table_names_its_cases_and_every_case_has_a_row():
    page = Path(__file__).parents[1].joinpath("README.md").read_text()
    table = page[page.index("| row | cases |") : page.index("## Meter")]
    rows = dict(line.strip("| ").split(" | ", 1) for line in table.splitlines()[2:] if line.startswith("|"))
    named = {name for cases in rows.values() for name in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", cases)}
    stories = {name.split("/")[0] for name in CASES}
    assert stories - named == set()
    assert all(stories & set(re.findall(r"[a-z0-9-]+", cases)) for cases in rows.values())


def test_watchers_alone_hashes_alone_and_both_take_turns():
    """But where that makes no sense: fifty claims at once are a race, say."""
    odd = ("fifty-parallel-claims", "sixty-four-blocks-deep", "reorganised-while-the-process-was-down")
    partial = [name for name, case in CASES.items() if set(case.modes) != set(MODES)]
    assert [name for name in partial if not name.startswith(odd)] == []
    assert len(MODES) <= SEEDS


@pytest.mark.parametrize("name", ["mined-again-after-the-credit/eth", "two-halves/usdc", "nodes-agree/eth"])
def test_a_seed_takes_the_same_steps_again(stage, name):
    for seed in range(2 * SEEDS):
        first, second = play(CASES[name], seed, stage), play(CASES[name], seed, stage)
        assert first.order == second.order
        assert first.faults == second.faults


def test_other_seeds_take_other_steps(stage):
    orders = {play(CASES["direct/usdc"], seed, stage).order_hash for seed in range(12)}
    assert len(orders) == 12

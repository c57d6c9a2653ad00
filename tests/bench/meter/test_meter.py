"""The meter's bench in short: no error over simulated hours, and every planted fault is found."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from postgres_kit import Cluster

from meter.crew import shares, summed
from meter.day import Day, Lived, live
from meter.oracle import Verdict
from meter.plants import PLANTS
from meter.stories import HOUR
from meter.world import Counts

pytestmark = pytest.mark.integration


def test_oracle_and_stories_import_nothing_of_the_product() -> None:
    for name in ("oracle.py", "stories.py"):
        tree = ast.parse((Path(__file__).parent / name).read_text())
        found = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        found |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not [module for module in found if module.split(".")[0] in ("controller", "infra", "fakes")]


@pytest.mark.parametrize("seed", [1, 2])
def test_no_error_over_restarts_kills_and_stepped_clocks(postgres: Cluster, seed: int) -> None:
    lived = live(postgres, Day(seed=seed))
    assert lived.verdict.findings == []
    assert (lived.verdict.error_gpu_ms, lived.verdict.grace_error_ms) == (0, 0)
    assert min(lived.counts.clock_steps, lived.counts.kills, lived.counts.restarts, lived.ended) > 0
    assert lived.verdict.used_gpu_ms > 0


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(postgres: Cluster, name: str) -> None:
    assert live(postgres, Day(seed=1), PLANTS[name]).verdict.findings


def test_the_parts_of_a_day_are_the_whole_and_their_errors_add_up() -> None:
    parts = shares(Day(10_001, 2 * HOUR, 300_000, 40, 7), 3)
    assert sum(part.sessions for part in parts) == 10_001
    assert {part.length_ms for part in parts} == {2 * HOUR}
    assert len({part.seed for part in parts}) == 3, "not one day three times"
    lived = [Lived(Verdict(n, 0, 5, [f"off by {n}"]), Counts(kills=n), 1) for n in range(3)]
    whole = summed(lived)
    assert (whole.verdict.error_gpu_ms, whole.verdict.used_gpu_ms, whole.counts.kills, whole.ended) == (
        3,
        15,
        3,
        3,
    )
    assert whole.verdict.findings == ["off by 0", "off by 1", "off by 2"]

"""The meter's bench in short: no error over simulated hours, and every planted fault is found."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from postgres_kit import Cluster

from meter.day import Day, live
from meter.plants import PLANTS

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

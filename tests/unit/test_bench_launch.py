"""`axonos bench launch`: which launches count, and when it fails. Nothing is launched here."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import make_settings

from controller.bench import launch
from controller.bench.run import WHOLE
from controller.errors import AxonosError
from controller.settings import Settings

STAGES = {"queue_ms": 1, "take_ms": 2, "ansible_ms": 300, "host_ms": 50, "back_ms": 40}


def settings(**pool: int) -> Settings:
    return make_settings(pool=pool)


def start(**changes: Any) -> dict[str, Any]:
    good = {
        "playbook": "session_start.yml",
        "state": "succeeded",
        "error_code": None,
        "start": "warm",
        "events": sorted(WHOLE),
        "stages": STAGES,
    }
    return good | changes


def measure(*runs: dict[str, Any]) -> tuple[launch.Measure, list[str]]:
    said: list[str] = []
    place: Any = None
    made = launch.Measure(settings(small=1), place, lambda _: {"runs": list(runs)}, "net", said.append)
    return made, said


def test_a_launch_with_all_its_events_counts() -> None:
    made, said = measure(start(), {"playbook": "session_stop.yml", "events": []})
    series = launch.Series("warm", "small")
    assert made._stages("s", series) == STAGES
    assert (series.whole, said) == (1, [])


@pytest.mark.parametrize("missing", sorted(WHOLE))
def test_a_run_that_lacks_an_event_is_no_run(missing: str) -> None:
    made, said = measure(start(events=sorted(WHOLE - {missing})))
    series = launch.Series("warm", "small")
    assert made._stages("s", series) == {}
    assert (series.whole, len(said)) == (0, 1)


@pytest.mark.parametrize(
    "runs", [[], [start(start="cold")], [start(), start()], [start(state="failed", start=None)]]
)
def test_another_kind_of_start_does_not_count(runs: list[dict[str, Any]]) -> None:
    made, _ = measure(*runs)
    series = launch.Series("warm", "small")
    made._stages("s", series)
    assert series.whole == 0


def test_it_looks_at_a_profile_with_a_pool_and_one_without() -> None:
    warm, cold = launch._kinds(settings(small=2))
    assert (warm.profile, cold.profile) == ("small", "medium")
    with pytest.raises(AxonosError):
        launch._kinds(settings())
    with pytest.raises(AxonosError):
        launch._kinds(settings(small=1, medium=1, large=1))


def outcome(warm_ms: float, cold_ms: float, whole: int) -> Any:
    made, _ = measure()
    made.plain, made.stock, made.stock_whole = [3000.0], [5000.0], 1
    warm = launch.Series("warm", "small", [warm_ms], asked=1, whole=whole, stages={"host_ms": [50.0]})
    cold = launch.Series("cold", "medium", [cold_ms], asked=1, whole=1)
    return launch._outcome(made, warm, cold)


@pytest.mark.parametrize(
    ("warm_ms", "cold_ms", "whole", "ok"),
    [(1000, 3800, 1, True), (1001, 3800, 1, False), (1000, 3801, 1, False), (900, 3500, 0, False)],
)
def test_goals(warm_ms: float, cold_ms: float, whole: int, ok: bool) -> None:
    found = outcome(warm_ms, cold_ms, whole)
    assert found.ok is ok
    assert found.figures["warm_host_p50_ms"] == 50.0
    assert {"warm_p50_ms", "warm_p95_ms", "cold_p50_ms", "docker_run_p50_ms", "stock_ansible_p50_ms"} <= set(
        found.figures
    )

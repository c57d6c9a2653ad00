from __future__ import annotations

import threading

import pytest

from infra.errors import Interrupted
from infra.up.progress import Silence
from infra.up.stages import Stage, run_stages


class Seen(Silence):
    def __init__(self) -> None:
        self.ended: dict[str, str | None] = {}
        self.lines: list[str] = []

    def report(self, stage: Stage, line: str) -> None:
        self.lines.append(f"{stage.name}: {line}")

    def end(self, stage: Stage, seconds: float, problem: str | None) -> None:
        self.ended[stage.name] = problem


def test_stages_without_needs_run_side_by_side_and_results_are_handed_on() -> None:
    meeting = threading.Barrier(2, timeout=5)
    stages = [
        Stage("sum", "Sum", lambda _, found: found["one"] + found["two"], needs=("one", "two")),
        Stage("one", "One", lambda _, __: meeting.wait() * 0 + 1),
        Stage("two", "Two", lambda _, __: meeting.wait() * 0 + 2),
    ]
    assert run_stages(stages, Silence(), threading.Event())["sum"] == 3


def test_a_failure_stops_what_runs_and_nothing_after_it_begins() -> None:
    stop, seen = threading.Event(), Seen()

    def fail(report, _):
        report("about to fail")
        raise ValueError("no network")

    stages = [
        Stage("bad", "Bad", fail),
        Stage("slow", "Slow", lambda _, __: stop.wait(5)),
        Stage("after", "After", lambda _, __: None, needs=("bad",)),
    ]
    with pytest.raises(ValueError, match="no network"):
        run_stages(stages, seen, stop)
    assert stop.is_set()
    assert seen.ended == {"bad": "no network", "slow": None}
    assert seen.lines == ["bad: about to fail"]


def test_ctrl_c_stops_the_stages_and_waits_for_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, seen, begun = threading.Event(), Seen(), threading.Event()

    def slow(_report, _found):
        begun.set()
        assert stop.wait(5)

    def interrupted(*_args, **_more):
        begun.wait(5)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.up.stages.wait", interrupted)
    with pytest.raises(Interrupted):
        run_stages([Stage("slow", "Slow", slow)], seen, stop)
    assert seen.ended == {"slow": None}

"""The self-check's own judgement, with a visitor made of answers: what it reports, and that it leaves nothing running."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from controller.selfcheck import journey
from controller.selfcheck.visitor import VisitFailed

command = importlib.import_module("controller.cli.selfcheck")
CREDITED = 7_200_000
SAVED = {"profile": "small"}


class FakeVisitor:
    """Does the main job; `fails` names the one thing that goes wrong."""

    fails: str = ""
    charged: int = 1_234
    balance: int = CREDITED - 1_234
    saved: dict[str, str] | None = SAVED
    did: list[str]

    def __init__(self, origin: str) -> None:
        type(self).did = []

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.did.append("left")

    def _do(self, what: str) -> None:
        self.did.append(what)
        if what == self.fails:
            raise VisitFailed(f"no {what}")

    def sign_in(self) -> None:
        self._do("sign_in")

    def take_play_money(self) -> None:
        self._do("take_play_money")

    def pay_minimum(self) -> str:
        self._do("pay_minimum")
        return "0xabc"

    def wait_credited(self, tx_hash: str, told) -> int:
        assert tx_hash == "0xabc"
        told("confirming, 2 of 6 confirmations")
        self._do("wait_credited")
        return CREDITED

    def launch(self) -> str:
        self._do("launch")
        return "s1"

    def wait_running(self) -> None:
        self._do("wait_running")

    async def look(self, session: str, screenshot: Path) -> None:
        self._do("look")

    def post(self, path: str) -> dict[str, Any]:
        self._do(path)
        return {}

    def end(self, session: str) -> None:
        self._do("end")

    def get(self, path: str) -> dict[str, Any]:
        lines = [{"gpu_ms": CREDITED}, {"gpu_ms": -self.charged}]
        answers = {
            "statement": {"lines": lines},
            "me": {"balance": {"gpu_ms": self.balance}},
            "sessions/current": {"session": None, "saved": self.saved},
        }
        return answers[path]


@pytest.fixture
def visit(monkeypatch, tmp_path):
    def run(**changes: Any) -> tuple[journey.Report, list[str], list[str]]:
        visitor = type("ThisVisitor", (FakeVisitor,), changes)
        monkeypatch.setattr(journey, "Visitor", visitor)
        heard: list[str] = []
        report = journey.run("http://localhost:1", tmp_path / "shot.png", heard.append)
        return report, visitor.did, heard

    return run


def test_a_whole_visit_is_told_step_by_step_and_charged_to_the_millisecond(visit):
    report, did, heard = visit()
    assert report.ok
    assert report.problem is None
    assert report.minutes_charged == 1_234 / 60_000
    assert did[-2:] == ["end", "left"]
    names = [step["step"] for step in report.steps]
    assert [line for line in heard if line in names] == names
    assert "confirming, 2 of 6 confirmations" in heard


@pytest.mark.parametrize(
    ("fails", "step"),
    [("sign_in", "sign in"), ("wait_credited", "credit"), ("launch", "launch"), ("end", "end")],
)
def test_the_step_that_failed_is_named(visit, fails: str, step: str):
    report, _, _ = visit(fails=fails)
    assert not report.ok
    assert report.problem == f"{step}: no {fails}"
    assert [s["step"] for s in report.steps if not s["ok"]] == [step]


@pytest.mark.parametrize(("fails", "step"), [("wait_running", "start"), ("look", "see it painted")])
def test_whatever_happens_after_the_launch_the_session_is_ended(visit, fails: str, step: str):
    report, did, _ = visit(fails=fails)
    assert report.problem == f"{step}: no {fails}"
    assert did[-2:] == ["end", "left"]


@pytest.mark.parametrize("changes", [{"balance": CREDITED}, {"charged": 0, "balance": CREDITED}])
def test_a_statement_that_does_not_add_up_is_a_failure(visit, changes):
    report, _, _ = visit(**changes)
    assert not report.ok
    assert report.problem.startswith("statement: ")


def test_a_desktop_that_is_not_offered_again_is_a_failure(visit):
    report, _, _ = visit(saved=None)
    assert report.problem.startswith("find it saved: ")


def test_ended_from_outside_it_ends_its_session_first(visit, monkeypatch, tmp_path):
    """As `make up` does on Ctrl-C: by SIGTERM, while the desktop is awaited."""

    class Local:
        mode, state_dir = "local", tmp_path
        web = type("Web", (), {"origin": "http://localhost:1"})

    did: list[str] = []
    former = signal.getsignal(signal.SIGTERM)
    changes = {
        "wait_running": lambda _: os.kill(os.getpid(), signal.SIGTERM),
        "end": lambda *_: did.append("end"),
    }
    monkeypatch.setattr(journey, "Visitor", type("ThisVisitor", (FakeVisitor,), changes))
    monkeypatch.setattr(command, "load_settings", lambda _: Local)
    try:
        done = CliRunner().invoke(command.selfcheck, ["--json"])
    finally:
        signal.signal(signal.SIGTERM, former)
    assert done.exit_code != 0
    assert did == ["end"]
    assert "launch" in done.stderr

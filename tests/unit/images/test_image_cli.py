"""`axonos image`: exit codes and what is printed, with the work behind it replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from images import cli
from images.desktop.errors import BuildFailed
from images.desktop.verify import Finding, Verdict

BUILT = {
    "image_id": "sha256:" + "a" * 64,
    "archive": "/x/desktop.tar",
    "recipe": "r",
    "locked": False,
    "packages": 3,
    "size_bytes": 5 << 20,
    "changed": True,
    "seconds": 80.0,
    "difference": ["~ tool 1 -> 2"],
}


def verdict(*, ok: bool) -> Verdict:
    finding = Finding("menu", ok, "all open" if ok else "no window from: Files", 10)
    return Verdict("sha256:a", ok, 900, 700, {"x_ms": 40}, "/x/desktop.png", (finding,))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.image, arguments)


def test_build_says_unlocked_and_prints_the_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "build_by_playbook", lambda *_, **__: BUILT)
    done = run("build", "--output", str(tmp_path))
    assert done.exit_code == 0
    assert "Unlocked" in done.output
    assert "~ tool 1 -> 2" in done.output
    assert json.loads(run("build", "--output", str(tmp_path), "--json").output) == BUILT


def test_a_failed_build_exits_1_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise BuildFailed("no mirror answers")

    monkeypatch.setattr(cli, "build_by_playbook", fail)
    done = run("build", "--output", str(tmp_path))
    assert (done.exit_code, "no mirror answers" in done.output) == (1, True)
    told = json.loads(run("build", "--output", str(tmp_path), "--json").output)
    assert told == {"error": {"code": "image_build_failed", "message": "no mirror answers"}}


@pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 1)])
def test_verify_exits_with_its_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ok: bool, status: int
) -> None:
    monkeypatch.setattr(cli, "verify", lambda *_, **__: verdict(ok=ok))
    done = run("verify", "--output", str(tmp_path), "--image", "sha256:a", "--json")
    assert done.exit_code == status
    assert json.loads(done.output)["ok"] is ok


def test_verify_without_a_built_image_says_what_to_do(tmp_path: Path) -> None:
    done = run("verify", "--output", str(tmp_path))
    assert done.exit_code == 1
    assert "axonos image build" in done.output


@pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 1)])
def test_ci_exits_with_its_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ok: bool, status: int
) -> None:
    facts = {"ok": ok, "problems": [] if ok else ["two builds differ"]}
    monkeypatch.setattr(cli, "run_ci", lambda *_, **__: facts)
    assert run("ci", "--output", str(tmp_path), "--json").exit_code == status
    said = run("ci", "--output", str(tmp_path)).output
    assert ("two builds differ" in said) is not ok

"""`axonos bench all` runs every benchmark as a command, tells which failed and why, and exits accordingly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from controller.cli import bench_all

PROGRAM = """#!/bin/sh
case "$2" in
  {failing}) echo '{{"error": {{"code": "refused", "message": "run it as root"}}}}'; exit 3 ;;
  *) echo progress; echo "{{\\"name\\": \\"$2\\", \\"figures\\": {{\\"n\\": 1}}, \\"goals\\": {{}},\
 \\"ok\\": true, \\"how\\": \\"$*\\"}}" ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def make(failing: str) -> None:
        path = tmp_path / "axonos"
        path.write_text(PROGRAM.format(failing=failing))
        path.chmod(0o755)
        monkeypatch.setattr(bench_all, "PROGRAM", str(path))

    return make


def test_every_benchmark_is_run_and_only_those_of_the_platform_get_its_configuration(program):
    program("none")
    done = CliRunner().invoke(bench_all.all_, ["--json", "--config", "/etc/axonos.toml"])
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["ok"]) == (0, True)
    assert [one["name"] for one in answer["benchmarks"]] == list(bench_all.NAMES)
    told = {one["name"]: "--config /etc/axonos.toml" in one["how"] for one in answer["benchmarks"]}
    assert {name for name, had_it in told.items() if had_it} == set(bench_all.ON_THE_PLATFORM)


def test_one_that_is_refused_fails_the_whole_with_its_reason(program):
    program("crash")
    done = CliRunner().invoke(bench_all.all_, ["--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["benchmarks"][-1]["how"] == "run it as root"
    table = CliRunner().invoke(bench_all.all_, [])
    assert table.exit_code == 1
    assert "run it as root" in table.output

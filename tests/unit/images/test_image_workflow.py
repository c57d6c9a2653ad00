"""The nightly workflow: it parses, runs each night, may write nothing, and leaves the work to our commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from images.cli import image

ROOT = Path(__file__).resolve().parents[3]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "image.yml").read_text())
LINES = [
    line.strip()
    for job in WORKFLOW["jobs"].values()
    for step in job["steps"]
    for line in step.get("run", "").splitlines()
]


def ours(line: str) -> list[str] | None:
    """The words behind `axonos image` in a line of shell, up to where its output goes."""
    found = re.search(r"axonos image (.*?)(?: >.*| \|.*|$)", line)
    return shlex.split(found.group(1)) if found else None


def test_it_runs_each_night_and_when_the_image_changes_and_may_write_nothing():
    (nightly,) = WORKFLOW["on"]["schedule"]
    minute, hour, *days = nightly["cron"].split()
    assert (int(minute), int(hour)) == (17, 4)
    assert days == ["*", "*", "*"]
    assert "images/**" in WORKFLOW["on"]["push"]["paths"]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in WORKFLOW["jobs"].values())
    assert "if" not in WORKFLOW["jobs"]["rebuild"], "every trigger rebuilds from the lock"


def test_the_rebuild_is_our_command_which_fails_where_two_builds_differ():
    builds = [step["run"] for step in WORKFLOW["jobs"]["rebuild"]["steps"] if "run" in step]
    assert builds[0] == "sudo make image"
    (recipe,) = re.findall(r"^image:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe.split()[1:4] == ["infra/bootstrap.py", "image", "ci"]


@pytest.mark.parametrize("line", [line for line in LINES if ours(line)])
def test_every_command_in_it_is_one_that_we_have(line):
    verb, *words = ours(line) or []
    command = image.commands[verb]
    known = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_there_is_nothing_in_it_but_our_commands_and_moving_files():
    programs = {shlex.split(re.sub(r"^archive=\$\(|\)$", "", line))[0:2][-1] for line in LINES}
    assert programs <= {"make", "jq", "env", "cp", "install", "/var/lib/axonos/venv/bin/axonos"}

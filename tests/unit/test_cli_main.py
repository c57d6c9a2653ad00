"""`axonos`: exit codes as documented, messages for people, objects for machines."""

from __future__ import annotations

import json

import click
import pytest

from controller.cli import main as cli
from controller.errors import (
    AxonosError,
    BadInput,
    DatabaseUnavailable,
    NotEnoughCredit,
    RunFailed,
    SettingsInvalid,
)


class Point:
    """An entry point that loads one command."""

    def __init__(self, command):
        self.command = command

    def load(self):
        if isinstance(self.command, Exception):
            raise self.command
        return self.command


def run(monkeypatch, outcome, *arguments):
    """Run `axonos try …` where the command raises `outcome` or exits with it; returns the status."""

    @click.command("try")
    @click.option("--json", "as_json", is_flag=True)
    @click.pass_context
    def command(ctx, as_json):
        """Try something."""
        if isinstance(outcome, BaseException):
            raise outcome
        ctx.exit(outcome)

    monkeypatch.setattr(cli, "_found", lambda: {"try": Point(command), "broken": Point(ImportError("gone"))})
    with pytest.raises(SystemExit) as ended:
        cli.main(["try", *arguments])
    return ended.value.code


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (0, 0),
        (4, 4),
        (RunFailed(), 1),
        (AxonosError(), 1),
        (SettingsInvalid("bad"), 2),
        (click.UsageError("no"), 2),
        (BadInput(), 3),
        (NotEnoughCredit(), 3),
        (DatabaseUnavailable(), 4),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_exit_codes(monkeypatch, outcome, status):
    assert run(monkeypatch, outcome) == status


def test_errors_go_to_stderr_and_with_json_also_to_stdout_as_an_object(monkeypatch, capsys):
    run(monkeypatch, NotEnoughCredit(needed_gpu_ms=60_000))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "axonos: Your balance does not cover one minute of this profile. Top up first.\n"
    run(monkeypatch, NotEnoughCredit(needed_gpu_ms=60_000), "--json")
    assert json.loads(capsys.readouterr().out)["error"] == {
        "code": "not_enough_credit",
        "message": "Your balance does not cover one minute of this profile. Top up first.",
        "retry": False,
        "needed_gpu_ms": 60_000,
    }


def test_help_names_every_command_and_exit_code(monkeypatch, capsys):
    run(monkeypatch, 0)
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert "Try something." in said
    assert "not available: gone" in said
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "130"):
        assert f"    {code}" in said


def test_an_unknown_command_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["nonsense"])
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err

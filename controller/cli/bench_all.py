"""`axonos bench all`: every benchmark as a command of its own, one after the other, and a table of all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

NAMES = (
    "launch",
    "run",
    "queue",
    "deposits",
    "meter",
    "x402",
    "load",
    "stream",
    "move",
    "drift",
    "crash",
)
ON_THE_PLATFORM = ("launch", "run")
PROGRAM = str(Path(sys.executable).with_name("axonos"))


@click.command(name="all")
@click.option("--config", type=click.Path(path_type=Path), help="The instance's axonos.toml.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def all_(config: Path | None, as_json: bool) -> None:
    """Every benchmark, each with its default size, one after the other; takes hours."""
    outcomes = [_outcome(name, config) for name in NAMES]
    ok = all(one["ok"] for one in outcomes)
    if as_json:
        click.echo(json.dumps({"ok": ok, "benchmarks": outcomes}))
    else:
        Console().print(_table(outcomes))
    sys.exit(0 if ok else 1)


def _outcome(name: str, config: Path | None) -> dict[str, Any]:
    click.echo(f"bench {name} …", err=True)
    platform = ["--config", str(config)] if config and name in ON_THE_PLATFORM else []
    command = [PROGRAM, "bench", name, "--json", *platform]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    found: dict[str, Any] = _last_object(done.stdout)
    if "figures" not in found:
        error = found.get("error", {})
        why = error.get("message") if isinstance(error, dict) else str(error)
        return {
            "name": name,
            "figures": {},
            "goals": {},
            "ok": False,
            "how": why or f"exit {done.returncode}",
        }
    return found


def _last_object(output: str) -> dict[str, Any]:
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


def _table(outcomes: list[dict[str, Any]]) -> Table:
    table = Table("benchmark", "figure", "value", "goal", title="axonos bench")
    for one in outcomes:
        for key, value in (one["figures"] or {"": one["how"]}).items():
            sign, number = one["goals"].get(key, ("", ""))
            table.add_row(one["name"], key, f"{value}", f"{sign} {number}")
        table.add_section()
    return table

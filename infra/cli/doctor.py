"""`axonos doctor`: what is well, what is not, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from infra.cli.explained import explained
from infra.cli.options import instance_options, json_option
from infra.doctor.checks import run_checks
from infra.instance import resolve


@click.command()
@instance_options
@json_option
def doctor(state: Path | None, name: str | None, as_json: bool) -> None:
    """Look at this machine and at every part of the platform. Changes nothing; exits with 1 on a problem."""
    with explained(as_json=as_json):
        checks = run_checks(resolve(name, state))
    well = all(check.ok for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": well, "checks": [asdict(check) for check in checks]}))
    else:
        for check in checks:
            mark = click.style("ok  ", fg="green") if check.ok else click.style("FAIL", fg="red")
            click.echo(f"{mark}  {check.name:<14} {check.message}")
            if check.to_do:
                click.echo(f"      {'':<14} {check.to_do}")
        click.echo("All is well." if well else "Not all is well.")
    raise SystemExit(0 if well else 1)

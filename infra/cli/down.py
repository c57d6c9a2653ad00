"""`axonos down`: stop the platform in order; with `--purge`, remove everything it made."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from infra.cli.explained import explained
from infra.cli.options import instance_options, json_option
from infra.down.steps import purge as purge_instance
from infra.down.steps import stop as stop_instance
from infra.first.machine import check_root
from infra.instance import resolve


@click.command()
@instance_options
@click.option("--purge", is_flag=True, help="Also remove all it made, homes too. Asks first.")
@click.option("--yes", is_flag=True, help="With --purge: do not ask.")
@json_option
def down(state: Path | None, name: str | None, purge: bool, yes: bool, as_json: bool) -> None:
    """End live sessions so that their meters stop, then stop every service. Files and balances stay.

    Safe to repeat. `make up` brings it back.
    """
    started = time.monotonic()
    with explained(as_json=as_json):
        check_root()
        instance = resolve(name, state)
        if not instance.venv.is_dir():
            nothing = {"ok": True, "installed": False}
            click.echo(json.dumps(nothing) if as_json else f"Nothing is installed under {instance.state}.")
            return
        if purge and not yes:
            click.confirm(
                f"Remove instance {instance.name} with every home, balance and file under {instance.state}?",
                abort=True,
                err=True,
            )
        act = purge_instance if purge else stop_instance
        done = act(instance, lambda line: click.echo(f"  {line}", err=True))
    seconds = round(time.monotonic() - started, 1)
    if as_json:
        told = {"ok": True, "installed": True, "purged": purge, **vars(done), "seconds": seconds}
        click.echo(json.dumps(told))
        return
    for line in [*done.stopped, *(f"removed {thing}" for thing in done.removed)]:
        click.echo(f"  {line}")
    word = "Removed" if purge else "Stopped"
    click.echo(f"{word} in {seconds} s, {done.sessions_ended} session(s) ended.")

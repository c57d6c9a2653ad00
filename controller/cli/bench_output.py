"""What every `axonos bench` command prints: progress on the way, figures beside their goals at the end."""

from __future__ import annotations

import json
import sys

import click

from controller.bench.figures import Outcome


def tell(text: str) -> None:
    """Say how far it is; on standard error, which leaves standard output to the figures."""
    click.echo(text, err=True)


def show(outcome: Outcome, *, as_json: bool) -> None:
    """Print the outcome and exit, with 1 if a goal is missed."""
    if as_json:
        click.echo(json.dumps(outcome.as_json()))
    else:
        width = max(map(len, outcome.figures))
        for key, value in outcome.figures.items():
            goal = outcome.goals.get(key)
            click.echo(f"{key:{width}} {value:>10}" + (f"   goal {goal[0]} {goal[1]}" if goal else ""))
        click.echo(outcome.how)
    sys.exit(0 if outcome.ok else 1)

"""What every `axonos bench` command prints: progress on the way, figures beside their goals at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import click

from controller.bench.figures import Outcome


def teller(*, as_json: bool) -> Callable[[str], None]:
    """Where progress goes: standard error, or nowhere if standard output is one JSON object."""
    return (lambda _: None) if as_json else (lambda text: click.echo(text, err=True))


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

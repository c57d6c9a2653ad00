"""`axonos infra`: look at, plan, change and remove the Pulumi stack of one instance."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from infra import engine
from infra.cli.explained import explained
from infra.cli.options import instance_options, json_option
from infra.faults import REFUSED
from infra.instance import resolve
from infra.pulumi_cli import ensure_cli
from infra.reporting import Report
from infra.stack_config import StackConfig, saved_config
from infra.summary import Summary

Where = Callable[[], tuple[StackConfig, Path]]
tell: Report = partial(click.echo, err=True)


@click.group()
@instance_options
@click.option("--stack", default="local", show_default=True, help="Which stack of the instance.")
@click.pass_context
def infra(context: click.Context, name: str | None, state: Path | None, stack: str) -> None:
    """The Pulumi stack: hosts, networks, homes and the desktop image.

    Works on the configuration that the last `axonos up` kept. Exit status: 0 done, 1 failed, 2 wrong use,
    3 refused, 4 another run is busy or a program is unavailable, 130 interrupted.
    """

    def where() -> tuple[StackConfig, Path]:
        folder = resolve(name, state).state
        return saved_config(folder, stack), ensure_cli(folder / "tools", tell)

    context.obj = where


released_option = click.option(
    "--released",
    multiple=True,
    metavar="HOST",
    help="A host that may end or be replaced: it is drained and nothing runs on it. Repeatable.",
)


@infra.command()
@released_option
@json_option
@click.pass_obj
def preview(where: Where, released: tuple[str, ...], as_json: bool) -> None:
    """Show what `up` would change, and what is against the rules. Changes nothing."""
    _run(partial(engine.preview, released=frozenset(released)), where, as_json)


@infra.command()
@released_option
@json_option
@click.pass_obj
def up(where: Where, released: tuple[str, ...], as_json: bool) -> None:
    """Look for drift, hold the plan against the rules, then change whatever is not as wanted."""
    _run(partial(engine.up, released=frozenset(released)), where, as_json)


@infra.command()
@json_option
@click.pass_obj
def refresh(where: Where, as_json: bool) -> None:
    """Name what is no longer as recorded. Changes only the record."""
    _run(engine.refresh, where, as_json)


@infra.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def destroy(where: Where, yes: bool, as_json: bool) -> None:
    """Remove what the stack made in Docker; homes keep their files."""
    if not yes:
        click.confirm("Remove this stack's network, volume and image from Docker?", abort=True, err=True)
    _run(engine.destroy, where, as_json)


@infra.command()
@json_option
@click.pass_obj
def cancel(where: Where, as_json: bool) -> None:
    """Take away the lock of a run that was killed; a living run keeps its own."""
    with explained(as_json=as_json):
        config, cli = where()
        taken = engine.cancel(config, cli=cli, report=tell)
    said = "The lock was taken away." if taken else "There was no lock to take away."
    click.echo(json.dumps({"operation": "cancel", "unlocked": taken}) if as_json else said)


def _run(operation: Callable[..., Summary], where: Where, as_json: bool) -> None:
    with explained(as_json=as_json):
        config, cli = where()
        summary = operation(config, cli=cli, report=tell)
    click.echo(json.dumps(summary.as_json()) if as_json else "\n".join(lines(summary)))
    if summary.violations:
        raise SystemExit(REFUSED)


def lines(summary: Summary) -> list[str]:
    """The summary for a reader: what had drifted, what was changed, the count."""
    drift = [f"drift    {d.kind} {d.name}: {', '.join(d.what)}" for d in summary.drift]
    changed = [f"{c.op:<8} {c.kind} {c.name}" for c in summary.changed]
    refused = [f"refused  {violation}" for violation in summary.violations]
    counted = ", ".join(f"{count} {op}" for op, count in sorted(summary.changes.items())) or "no changes"
    return [*drift, *changed, *refused, f"{summary.operation}: {counted}, {summary.seconds:.1f} s"]

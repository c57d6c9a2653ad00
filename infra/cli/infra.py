"""`axonos infra`: look at, plan, change and remove the Pulumi stack of one instance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from infra import engine
from infra.errors import InfraError, Interrupted, StackBusy, StackConfigInvalid
from infra.pulumi_cli import ensure_cli
from infra.reporting import Report
from infra.stack_config import StackConfig, saved_config
from infra.summary import Summary

FAILED, REFUSED, UNAVAILABLE, INTERRUPTED = 1, 3, 4, 130


@click.group()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=Path("/var/lib/axonos"),
    show_default=True,
    help="The instance's state folder.",
)
@click.option("--stack", default="local", show_default=True, help="Which stack of it.")
@click.pass_context
def infra(context: click.Context, state: Path, stack: str) -> None:
    """The Pulumi stack: hosts, networks, homes and the desktop image.

    Works on the configuration that the last `axonos up` kept. Exit status: 0 done, 1 failed, 2 wrong use,
    3 refused, 4 another run is busy or a program is unavailable, 130 interrupted.
    """
    context.obj = (state, stack)


_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@infra.command()
@_as_json
@click.pass_obj
def preview(where: tuple[Path, str], as_json: bool) -> None:
    """Show what `up` would change. Changes nothing."""
    _run("preview", where, as_json)


@infra.command()
@_as_json
@click.pass_obj
def up(where: tuple[Path, str], as_json: bool) -> None:
    """Look for drift, then change whatever is not as wanted."""
    _run("up", where, as_json)


@infra.command()
@_as_json
@click.pass_obj
def refresh(where: tuple[Path, str], as_json: bool) -> None:
    """Name what is no longer as recorded. Changes only the record."""
    _run("refresh", where, as_json)


@infra.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@_as_json
@click.pass_obj
def destroy(where: tuple[Path, str], yes: bool, as_json: bool) -> None:
    """Remove what the stack made in Docker; homes keep their files."""
    if not yes:
        click.confirm(f"Remove the network, volume and image of stack {where[1]}?", abort=True, err=True)
    _run("destroy", where, as_json)


@infra.command()
@_as_json
@click.pass_obj
def cancel(where: tuple[Path, str], as_json: bool) -> None:
    """Take away the lock of a run that was killed; a living run keeps its own."""
    config, cli, report = _prepare(where, as_json)
    with _explained(as_json):
        taken = engine.cancel(config, cli=cli, report=report)
    click.echo(json.dumps({"operation": "cancel", "unlocked": taken}) if as_json else _said(taken))


def _said(taken: bool) -> str:
    return "The lock was taken away." if taken else "There was no lock to take away."


def _run(operation: str, where: tuple[Path, str], as_json: bool) -> None:
    config, cli, report = _prepare(where, as_json)
    with _explained(as_json):
        summary: Summary = getattr(engine, operation)(config, cli=cli, report=report)
    click.echo(json.dumps(summary.as_json()) if as_json else "\n".join(_lines(summary)))


def _prepare(where: tuple[Path, str], as_json: bool) -> tuple[StackConfig, Path, Report]:
    report: Report = lambda line: click.echo(line, err=True)  # noqa: E731  one line is all it is
    state, stack = where
    with _explained(as_json):
        return saved_config(state, stack), ensure_cli(state / "tools", report), report


def _lines(summary: Summary) -> list[str]:
    """The summary for a reader."""
    drift = [f"drift    {d.kind} {d.name}: {', '.join(d.what)}" for d in summary.drift]
    changed = [f"{c.op:<8} {c.kind} {c.name}" for c in summary.changed]
    counted = ", ".join(f"{count} {op}" for op, count in sorted(summary.changes.items())) or "no changes"
    return [*drift, *changed, f"{summary.operation}: {counted}, {summary.seconds:.1f} s"]


@contextmanager
def _explained(as_json: bool) -> Iterator[None]:
    """Turn an error into its message and the documented exit status."""
    try:
        yield
    except InfraError as error:
        told: dict[str, Any] = {"code": error.code, "message": error.message, "retry": error.retry}
        click.echo(json.dumps({"error": told}) if as_json else f"Error: {error.message}", err=not as_json)
        raise SystemExit(_status(error)) from error


def _status(error: InfraError) -> int:
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, StackConfigInvalid):
        return REFUSED
    return UNAVAILABLE if isinstance(error, StackBusy) or error.code == "pulumi_cli_unavailable" else FAILED

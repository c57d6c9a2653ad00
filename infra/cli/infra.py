"""`axonos infra`: look at, plan, change and remove the Pulumi stack of one instance."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from threading import Event
from typing import Any

import click

from infra import engine
from infra.cli.explained import explained
from infra.cli.options import instance_options, json_option
from infra.errors import StackConfigInvalid
from infra.faults import REFUSED
from infra.host_register import ask, check_released, inventory_path, register, write_hosts
from infra.instance import Instance, resolve
from infra.pulumi_cli import ensure_cli
from infra.reporting import Report
from infra.scale_loop import elastic_stacks, go_round
from infra.scale_service import keep
from infra.scaling import Scaler
from infra.stack_config import StackConfig
from infra.stack_file import configured
from infra.summary import Summary

tell: Report = partial(click.echo, err=True)


@dataclass(frozen=True)
class Where:
    """Which instance and which stack the command is about."""

    instance: Instance
    stack: str

    def config(self) -> StackConfig:
        """The stack's configuration: its file if there is one, else what its last `up` kept."""
        return configured(self.instance, self.stack)

    def cli(self) -> Path:
        """The Pulumi CLI."""
        return ensure_cli(self.instance.state / "tools", tell)


@click.group()
@instance_options
@click.option("--stack", default="local", show_default=True, help="Which stack of the instance.")
@click.pass_context
def infra(context: click.Context, name: str | None, state: Path | None, stack: str) -> None:
    """The Pulumi stacks: hosts, networks, homes and the desktop image.

    Stack `local` is what `axonos up` keeps; any other is described in STATE/stacks/NAME.toml. Exit status:
    0 done, 1 failed, 2 wrong use, 3 refused, 4 another run is busy or a program is unavailable,
    130 interrupted.
    """
    context.obj = lambda again: Where(resolve(name, state), again or stack)


def stack_command(command: Any) -> Any:
    """A command about one stack: `--stack` may stand behind it too, and `--json` answers with one object."""

    @wraps(command)
    def wrapped(chosen: Callable[[str | None], Where], stack: str | None, **options: Any) -> None:
        with explained(as_json=bool(options["as_json"])):
            command(chosen(stack), **options)

    named = click.option("--stack", default=None, help="Which stack; may stand before the command too.")
    found: Any = json_option(named(click.pass_obj(wrapped)))  # type: ignore[arg-type]
    return found


released_option = click.option(
    "--released",
    multiple=True,
    metavar="HOST",
    help="A host that may end or be replaced: it is drained and nothing runs on it. Repeatable.",
)


@infra.command()
@released_option
@stack_command
def preview(where: Where, released: tuple[str, ...], as_json: bool) -> None:
    """Show what `up` would change, and what is against the rules. Changes nothing."""
    _tell(engine.preview(where.config(), cli=where.cli(), report=tell, released=frozenset(released)), as_json)


@infra.command()
@released_option
@click.option("--no-register", is_flag=True, help="Leave the controller's hosts as they are.")
@stack_command
def up(where: Where, released: tuple[str, ...], no_register: bool, as_json: bool) -> None:
    """Look for drift, hold the plan against the rules, change what is not as wanted, register the hosts."""
    check_released(where.instance, released)
    summary = engine.up(where.config(), cli=where.cli(), report=tell, released=frozenset(released))
    write_hosts(where.instance, where.config(), summary.outputs)
    if not no_register:
        register(where.instance, where.stack, tell)
        keep(where.instance, tell)
    _tell(summary, as_json)


@infra.command()
@stack_command
def refresh(where: Where, as_json: bool) -> None:
    """Name what is no longer as recorded. Changes only the record."""
    _tell(engine.refresh(where.config(), cli=where.cli(), report=tell), as_json)


@infra.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--with-homes", is_flag=True, help="Volumes in a cloud go too, with every home on them.")
@stack_command
def destroy(where: Where, yes: bool, with_homes: bool, as_json: bool) -> None:
    """Remove what the stack made; homes keep their files, machines that existed before stay."""
    config = where.config()
    if not yes:
        homes = ", every home in it too" if with_homes else ""
        click.confirm(f"Remove everything that stack {config.stack} made{homes}?", abort=True, err=True)
    _tell(engine.destroy(config, cli=where.cli(), report=tell, with_homes=with_homes), as_json)


@infra.command()
@stack_command
def cancel(where: Where, as_json: bool) -> None:
    """Take away the lock of a run that was killed; a living run keeps its own."""
    taken = engine.cancel(where.config(), cli=where.cli(), report=tell)
    said = "The lock was taken away." if taken else "There was no lock to take away."
    click.echo(json.dumps({"operation": "cancel", "unlocked": taken}) if as_json else said)


@infra.command()
@click.option("--all", "every_stack", is_flag=True, help="Of every stack that has an elastic pool.")
@click.option("--every", type=click.IntRange(1), metavar="SECONDS", help="Go on, a round so often.")
@stack_command
def scale(where: Where, every_stack: bool, every: int | None, as_json: bool) -> None:
    """Let the stack's elastic pool take its next step. `logs/scale-NAME.jsonl` keeps each.

    The service `scale` does that for all of them, each minute; `up` starts it where a pool is elastic.
    """

    def step(stack: str) -> dict[str, Any]:
        configured(where.instance, stack)  # its problems are told before a CLI is got for it
        record = _scaler(where, stack).step()
        click.echo(json.dumps(record) if as_json else f"{stack}: {record['action']}, {record['why']}")
        return record

    def stacks() -> list[str]:
        return elastic_stacks(where.instance.state) if every_stack else [where.stack]

    if every is None:
        for stack in stacks():
            step(stack)
        return
    go_round(stacks, step, lambda: Event().wait(every), tell)


def _scaler(where: Where, stack: str) -> Scaler:
    return Scaler(
        instance=where.instance,
        stack=stack,
        cli=where.cli(),
        ask=partial(ask, where.instance),
        register=lambda: register(where.instance, stack, tell),
        report=tell,
    )


@infra.command()
@stack_command
def inventory(where: Where, as_json: bool) -> None:
    """Print the Ansible inventory of the stack's hosts, as its last `up` left them: JSON in any case."""
    del as_json
    path = inventory_path(where.instance.state, where.stack)
    if not path.exists():
        raise StackConfigInvalid(f"{path} is not there yet. Run `axonos infra up --stack {where.stack}`.")
    click.echo(path.read_text(), nl=False)


def _tell(summary: Summary, as_json: bool) -> None:
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

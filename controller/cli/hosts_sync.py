"""`axonos hosts sync FILE`: the hosts of an infrastructure stack, taken into the platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

import click

from controller.cli.hosts_text import ARRIVING
from controller.cli.image import image_here
from controller.cli.output import connect, json_option, print_json
from controller.errors import BadInput
from controller.services.hosts import sync as host_sync


@click.command()
@click.argument("file", type=click.File())
@json_option
def sync(file: TextIO, *, as_json: bool) -> None:
    """Register the hosts that FILE names (STATE/stacks/NAME.hosts.json), drain those that left; `-` is stdin.

    Safe to repeat. A host that left its stack is drained, not removed. A new one is taken into use once it
    has the image that was built here, brought by the worker and checked there by its signature.
    """
    told = _read(file)
    deps = connect()
    memory = deps.settings.state_dir / "stacks" / f"{told['stack']}.registered.json"
    done = host_sync.sync(deps, told["hosts"], _former(memory), image=image_here(deps.settings))
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(sorted({*(host["name"] for host in told["hosts"]), *done.drained})) + "\n")
    if as_json:
        print_json(done)
        return
    for verb in ("registered", "unchanged", "drained"):
        for name in getattr(done, verb):
            click.echo(f"{name}: {verb}")
    for name in done.arriving:
        click.echo(f"{name}: {ARRIVING}")


def _read(file: TextIO) -> dict[str, Any]:
    try:
        told = json.load(file)
        if isinstance(told["stack"], str) and isinstance(told["hosts"], list):
            return dict(told)
    except (ValueError, KeyError, TypeError):
        pass
    raise BadInput('The file is no object {"stack": NAME, "hosts": [...]}.', field="file")


def _former(memory: Path) -> list[str]:
    """Names the stack had at the last sync."""
    try:
        return [str(name) for name in json.loads(memory.read_text())]
    except (OSError, ValueError):
        return []

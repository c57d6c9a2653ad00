"""`axonos logs`: what the services and the playbook runs of an instance wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from infra.cli.explained import explained
from infra.cli.options import instance_options
from infra.faults import REFUSED, Fault
from infra.instance import Instance, resolve

SERVICES = ("web", "worker", "gateway", "guard", "chain", "postgres", "docker")


@click.command()
@instance_options
@click.argument("service", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("--lines", "-n", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Name the logs there are, as one JSON object.")
def logs(  # noqa: PLR0917 -- click passes options by name
    state: Path | None, name: str | None, service: str | None, follow: bool, lines: int, as_json: bool
) -> None:
    """Show the last lines of one service's log, or of all.

    Services: web, worker, gateway, guard, chain, postgres, docker. Runs of playbooks: host-local,
    controller-local, image.
    """
    with explained(as_json=as_json):
        instance = resolve(name, state)
        if as_json:
            click.echo(json.dumps({"logs": {n: str(p) for n, p in _files(instance).items()}}))
            return
        command = _command(instance, service, follow=follow, lines=lines)
    os.execvp(command[0], command)  # noqa: S606 -- tail or journalctl, which end with Ctrl-C by themselves


def _command(instance: Instance, service: str | None, *, follow: bool, lines: int) -> list[str]:
    files = _files(instance)
    more = ["--follow"] if follow else []
    if Path("/run/systemd/system").is_dir() and service in (None, *SERVICES):
        prefix = "axonos" if instance.name == "axonos" else f"axonos-{instance.name}"
        units = [f"{prefix}-{one}" for one in ([service] if service else SERVICES)]
        return ["journalctl", "--no-pager", f"--lines={lines}", *more, *(f"--unit={unit}" for unit in units)]
    if service is not None and service not in files:
        known = ", ".join(sorted(files)) or "none yet"
        raise Fault(f"There is no log of {service!r}.", f"Logs there are: {known}.", REFUSED)
    chosen = [files[service]] if service else [path for one, path in files.items() if one in SERVICES]
    if not chosen:
        raise Fault(f"There are no logs under {instance.state}.", "Run `make up` first.", REFUSED)
    return ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), *map(str, chosen)]


def _files(instance: Instance) -> dict[str, Path]:
    folder = instance.state / "logs"
    found = {path.stem.removeprefix("playbook-"): path for path in sorted(folder.glob("playbook-*.jsonl"))}
    return found | {path.stem: path for path in sorted(folder.glob("*.log"))}

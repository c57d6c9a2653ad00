"""`axonos hosts upgrade`: hosts get this version, one after the other, without ending a session."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from controller.adapters.convergence import HostConvergence, given
from controller.cli.output import connect, json_option, print_json, print_table
from controller.services.hosts import upgrade as host_upgrade
from controller.services.hosts.upgrade import Plan

LOOK_S = 1.0
STOPPED = ("busy", "silent")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Private SSH key of somebody who is or may become root there. It is not kept.",
)
@click.option("--user", default="root", show_default=True, help="Who logs in.")
@click.option(
    "--wait-minutes", default=0, show_default=True, type=click.IntRange(0), help="For a host to become empty."
)
@click.option("--set", "more", multiple=True, metavar="NAME=VALUE", help="A variable of the playbook.")
@json_option
def upgrade(
    names: tuple[str, ...], key: Path, user: str, wait_minutes: int, more: tuple[str, ...], *, as_json: bool
) -> None:
    """Drain, converge, resume: one host after the other, all that are reached by SSH without a NAME.

    Ends no session: a host that does not become empty in time stays drained, and the upgrade stops there
    (exit status 1); ask again. JSON: {"hosts": [{"host", "state", "changed"}]}.
    """
    deps = connect()
    variables = {k: v for text in more for k, v in given(text).items()}
    plan = Plan(names, user, key.absolute(), wait_minutes * 60_000, variables)
    convergence = HostConvergence(deps.settings, lambda line: None if as_json else click.echo(f"  {line}"))
    found = host_upgrade.upgrade(deps, convergence, plan, pause=lambda: time.sleep(LOOK_S))
    if as_json:
        print_json({"hosts": found})
    else:
        rows = [(one.host, one.state, len(one.changed)) for one in found]
        print_table(("HOST", "UPGRADE", "CHANGED"), rows, empty="No host is reached by SSH.")
    sys.exit(1 if any(one.state in STOPPED for one in found) else 0)

"""`axonos hosts demand`: what an elastic pool of hosts decides by."""

from __future__ import annotations

import click

from controller.cli.output import connect, instant, json_option, print_json, print_table
from controller.services.hosts import demand as host_demand


@click.command()
@json_option
def demand(*, as_json: bool) -> None:
    """Who waits and until when at the latest, and what is on each host. `axonos infra scale` reads it."""
    found = host_demand.demand(connect())
    if as_json:
        print_json(found)
        return
    waits = [(one.gpus, instant(one.waiting_since_ms), instant(one.latest_ms)) for one in found.waiting]
    print_table(("GPUS", "SINCE (UTC)", "AT THE LATEST"), waits, empty="Nobody waits.")
    rows = [(one.name, one.state, one.sessions, one.homes, instant(one.idle_since_ms)) for one in found.hosts]
    print_table(("HOST", "STATE", "SESSIONS", "HOMES", "IDLE SINCE (UTC)"), rows, empty="There are no hosts.")

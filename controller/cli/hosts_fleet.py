"""`axonos hosts drain|resume|remove`: hosts that leave, for a while or for good."""

from __future__ import annotations

import click

from controller.cli.output import connect, json_option, plain, print_json
from controller.services.hosts import fleet
from controller.services.hosts.fleet import Standing


@click.command()
@click.argument("name")
@json_option
def drain(name: str, *, as_json: bool) -> None:
    """Place nothing on a host any more; what runs there goes on. Upgrade it when it is empty, then resume."""
    _tell(fleet.drain(connect(), name), as_json=as_json)


@click.command()
@click.argument("name")
@json_option
def resume(name: str, *, as_json: bool) -> None:
    """Take a drained host into use again."""
    _tell(fleet.resume(connect(), name), as_json=as_json)


@click.command()
@click.argument("name")
@click.option("--dead", is_flag=True, help="It will not answer again: homes go on from their replicas.")
@json_option
def remove(name: str, *, dead: bool, as_json: bool) -> None:
    """Remove a drained host; homes that lie on it are first sent to others (ask again until it is empty)."""
    if not dead:
        _tell(fleet.remove(connect(), name), as_json=as_json)
        return
    found, left = fleet.give_up(connect(), name)
    if as_json:
        print_json({**plain(found), "homes_without_replica": left})
        return
    _tell(found, as_json=False)
    for wallet in left:
        click.echo(f"no replica: the home of {wallet} lies on {name} alone")


def _tell(found: Standing, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    moving = f", {found.homes_moving} on their way" if found.homes_moving else ""
    click.echo(f"{found.name}: {found.state}, {found.sessions} sessions, {found.homes} homes{moving}")

"""`axonos ledger addresses`: where payments go, and the second operator whom a change of it takes."""

from __future__ import annotations

import click

from controller.cli.operator import operator
from controller.cli.output import connect, instant, json_option, print_json
from controller.services.pricing import payment_addresses as service
from controller.services.pricing.payment_addresses import AddressesView


@click.group()
def addresses() -> None:
    """Where payments go: revenue wallets, tokens, feeds. Changing them takes two operators.

    Edit axonos.toml, `ask` for its addresses, have another operator `approve` them, then restart web and
    worker. Until then payments are held: nothing is quoted, shown or credited. Sessions and balances go on.
    """


@addresses.command()
@json_option
def show(*, as_json: bool) -> None:
    """What axonos.toml says and whether it is accepted; then what was asked for before."""
    found = service.overview(connect())
    if as_json:
        print_json({"addresses": found})
        return
    for one in found:
        _print(one)


@addresses.command()
@click.option("--reason", required=True, help="Why; the one who approves reads it.")
@json_option
def ask(reason: str, *, as_json: bool) -> None:
    """Ask for the addresses that axonos.toml now says."""
    view = service.ask(connect(), operator(), reason)
    _say(view, as_json=as_json)


@addresses.command()
@click.argument("fingerprint")
@click.option("--refuse", is_flag=True, help="Refuse them instead; the one who asked may, too.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
def approve(fingerprint: str, *, refuse: bool, yes: bool, as_json: bool) -> None:
    """Approve addresses by the FINGERPRINT that `show` prints, as another system user than asked for them."""
    deps = connect()
    if not yes and not refuse:
        for one in service.overview(deps):
            if one.fingerprint.startswith(fingerprint) and one.state == "waiting":
                _print(one)
        click.confirm("Shall payments go there?", abort=True, err=True)
    _say(service.decide(deps, fingerprint, operator(), refuse=refuse), as_json=as_json)


def _say(view: AddressesView, *, as_json: bool) -> None:
    if as_json:
        print_json({"done": view.state == "accepted", "addresses": view})
    elif view.state == "waiting":
        click.echo(f"Waits for another operator: axonos ledger addresses approve {view.fingerprint[:16]}")
    else:
        click.echo(f"{view.fingerprint[:16]} is {view.state}.")


def _print(view: AddressesView) -> None:
    click.echo(f"{view.fingerprint[:16]}  {view.state}")
    if view.actor:
        click.echo(f"  asked for by {view.actor}, {instant(view.asked_at_ms)}: {view.reason or '-'}")
    if view.approver:
        click.echo(f"  decided by {view.approver}, {instant(view.decided_at_ms)}")
    for name, value in view.addresses.items():
        click.echo(f"  {name:<32} {value}")

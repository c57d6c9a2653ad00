"""`axonos ledger`: money that nobody was credited for, the two ways it ends, and open alerts."""

from __future__ import annotations

from typing import Any

import click

from controller.cli import ledger_words as words
from controller.cli.ledger_entries import changes, make
from controller.cli.output import connect, instant, json_option, print_json, print_table
from controller.domain.pricing import amount_text
from controller.errors import NotYours
from controller.services import alerts as open_ones
from controller.services.deposits.value import decimals_of
from controller.services.money import suspense as service


@click.command()
@json_option
def suspense(*, as_json: bool) -> None:
    """Money that was received and credited to nobody yet, oldest first."""
    deps = connect()
    found = service.waiting(deps)
    if as_json:
        print_json({"events": found})
        return
    rows = [
        (e.event_id, instant(e.seen_at_ms), e.state, _amount(deps.settings, e), e.payer, e.tx_hash, e.why)
        for e in found
    ]
    columns = ("EVENT", "AT (UTC)", "STATE", "AMOUNT", "PAYER", "TRANSACTION", "WHY")
    print_table(columns, rows, empty="Nothing waits.")


@click.command()
@click.option("--done", "alert_id", type=int, help="Close this one: it was looked at.")
@json_option
def alerts(*, alert_id: int | None, as_json: bool) -> None:
    """What an operator should look at, oldest first; most close by themselves when their reason is gone."""
    deps = connect()
    if alert_id is not None and not open_ones.acknowledge(deps, alert_id):
        raise NotYours("There is no open alert with this number.")
    with deps.database.begin() as db:
        found = open_ones.open_alerts(db)
    if as_json:
        print_json({"alerts": found})
        return
    rows = [(a.id, instant(a.since_ms), a.kind, a.subject, a.why) for a in found]
    print_table(("ALERT", "SINCE (UTC)", "KIND", "ABOUT", "WHY"), rows, empty="Nothing to look at.")


@click.command()
@click.argument("event_id", type=int)
@words.wallet_argument
@words.minutes_option
@click.option("--proof", required=True, help="What shows that it is this wallet's: a message, a ticket.")
@changes
def assign(event_id: int, wallet: str, minutes: int | None, proof: str, **asked: Any) -> None:
    """Credit WALLET with money event EVENT_ID of `axonos ledger suspense`."""
    make("assign", asked, wallet=wallet, gpu_ms=minutes or 0, event_id=event_id, proof=proof)


@click.command(name="return")
@click.argument("event_id", type=int)
@click.option("--tx", "proof", required=True, help="The refund's transaction; the chain must show it.")
@changes
def return_(event_id: int, proof: str, **asked: Any) -> None:
    """Mark money event EVENT_ID as returned: a revenue wallet sent exactly its amount back."""
    make("return", asked, wallet=None, gpu_ms=0, event_id=event_id, proof=proof)


def _amount(settings: Any, event: service.SuspenseView) -> str:
    return f"{amount_text(event.amount, decimals_of(settings, event.asset))} {event.asset.upper()}"

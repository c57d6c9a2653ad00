"""`axonos ledger`, the part that changes something: entries by operators, and their approval.

Each command shows its plan first and changes nothing without a yes: typed, or `--yes`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import click

from controller.cli import ledger_words as words
from controller.cli.operator import operator
from controller.cli.output import connect, instant, json_option, minutes, print_json, print_table
from controller.domain.operator_entries import Entry, Plan
from controller.services.money import ledger_requests as service
from controller.services.money.ledger_requests import RequestView


def changes(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that makes an entry."""
    for option in (
        json_option,
        click.option("--yes", is_flag=True, help="Do it without asking."),
        click.option("--request-id", help="Your own id for this entry: repeated, it has no second effect."),
        click.option("--reason", required=True, help="Why; the wallet's owner reads it in the statement."),
    ):
        command = option(command)
    return command


@click.command()
@words.wallet_argument
@words.minutes_argument
@changes
def credit(wallet: str, minutes: int, **asked: Any) -> None:
    """Give WALLET so many MINUTES of one GPU."""
    make("credit", asked, wallet=wallet, gpu_ms=minutes)


@click.command()
@words.wallet_argument
@words.minutes_argument
@click.option("--session", "session_id", required=True, help="The session that charged them.")
@changes
def refund(wallet: str, minutes: int, session_id: str, **asked: Any) -> None:
    """Give MINUTES back that a session of WALLET was charged, up to what it was charged.

    Money sent back on the chain is `axonos ledger return`.
    """
    make("refund", asked, wallet=wallet, gpu_ms=minutes, session_id=session_id)


@click.command(context_settings={"ignore_unknown_options": True})
@words.wallet_argument
@words.minutes_argument
@changes
def adjust(wallet: str, minutes: int, **asked: Any) -> None:
    """Correct WALLET's balance by so many MINUTES, such as 12.5 or -30; never below what is free of holds."""
    make("adjust", asked, wallet=wallet, gpu_ms=minutes)


@click.command()
@click.argument("request_id")
@click.option("--refuse", is_flag=True, help="Refuse it for good instead; its maker may, too.")
@json_option
def approve(request_id: str, *, refuse: bool, as_json: bool) -> None:
    """Approve an entry that waits for a second operator, as another system user than its maker."""
    _say(service.decide(connect(), request_id, operator(), refuse=refuse), as_json=as_json)


@click.command()
@click.option("--waiting", is_flag=True, help="Only those that wait for a second operator.")
@json_option
def requests(*, waiting: bool, as_json: bool) -> None:
    """Entries by operators, newest first: what, why, who asked, who approved."""
    found = service.requests(connect(), waiting_only=waiting)
    if as_json:
        print_json({"requests": found})
        return
    rows = [
        (
            *(r.request_id, instant(r.asked_at_ms), r.kind, r.wallet or f"event {r.event_id}"),
            *(minutes(r.gpu_ms), r.state, r.actor, r.approver or "-", r.reason),
        )
        for r in found
    ]
    columns = ("REQUEST", "AT (UTC)", "KIND", "FOR", "MINUTES", "STATE", "BY", "APPROVED BY", "REASON")
    print_table(columns, rows, empty="No entries by operators.")


def make(kind: str, asked: dict[str, Any], **about: Any) -> None:
    """Show an entry's plan, and make the entry once somebody said yes.

    Args:
        kind: of the entry.
        asked: the options of `changes`.
        about: the entry's other fields.
    """
    deps, actor = connect(), operator()
    entry = Entry(asked["request_id"] or str(uuid.uuid4()), kind, reason=asked["reason"], **about)
    planned = service.plan(deps, entry, actor)
    if asked["as_json"] and not asked["yes"]:
        print_json({"done": False, "plan": planned, "say": "repeat with --yes and this request id"})
        return
    if not asked["as_json"]:
        _show(planned, actor)
    if not asked["yes"]:
        click.confirm("Do it?", abort=True)
    _say(service.submit(deps, entry, actor), as_json=asked["as_json"])


def _show(planned: Plan, actor: str) -> None:
    click.echo(f"request    {planned.request_id}, by {actor}")
    click.echo(f"entry      {planned.kind} of {minutes(planned.gpu_ms)} minutes for {planned.wallet or '-'}")
    for name, value in planned.detail.items():
        click.echo(f"{name:<10} {value}")
    if planned.balance_gpu_ms is not None and planned.balance_after_gpu_ms is not None:
        after = minutes(planned.balance_after_gpu_ms)
        click.echo(f"balance    {minutes(planned.balance_gpu_ms)} minutes, afterwards {after}")
    click.echo(f"then       {planned.state}: {planned.because}")


def _say(view: RequestView, *, as_json: bool) -> None:
    if as_json:
        print_json({"done": view.state == "done", "request": view})
    elif view.state == "waiting":
        click.echo(f"Waits for another operator: axonos ledger approve {view.request_id}")
    else:
        click.echo(f"{view.request_id} is {view.state}.")

"""`axonos homes`: what homes take up and cost, and orders about one."""

from __future__ import annotations

import click

from controller.cli.operator import operator
from controller.cli.output import connect, instant, json_option, minutes, print_json, print_table
from controller.errors import NoHome
from controller.services.homes import actions as home_actions
from controller.services.homes import views as home_views

TEN_YEARS = 3_650


@click.group()
def homes() -> None:
    """Homes: list, show one, keep a snapshot, return to one, put away, bring back, delete."""


@homes.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1_000, show_default=True)
@json_option
def list_(*, limit: int, as_json: bool) -> None:
    """All homes, the largest first."""
    found = home_views.homes(connect(), limit)
    if as_json:
        print_json({"homes": found})
        return
    rows = [
        (h.wallet, h.state, h.host, size(h.bytes_used), minutes(h.per_day_gpu_ms), days(h.days_left))
        for h in found
    ]
    print_table(("WALLET", "STATE", "HOST", "SIZE", "MINUTES/DAY", "LASTS"), rows, empty="No homes.")


@homes.command()
@click.argument("wallet")
@json_option
def show(wallet: str, *, as_json: bool) -> None:
    """One home: size, cost, snapshots, and what happened to it."""
    found = home_views.home(connect(), wallet.lower())
    if found is None:
        raise NoHome(wallet=wallet[:42])
    if as_json:
        print_json(found)
        return
    most = size(found.quota_bytes) if found.quota_bytes else "no limit"
    where = f"on every host, last {found.host}" if found.is_shared else f"on {found.host}"
    click.echo(f"{found.wallet}: {found.state} {where}, {size(found.bytes_used)} of {most}")
    click.echo(
        f"{minutes(found.per_day_gpu_ms)} minutes a day, balance {minutes(found.balance_gpu_ms)}, "
        f"lasts {days(found.days_left)}. {found.under_way or ''}"
    )
    kept = [(s.name, instant(s.created_at_ms), s.why) for s in found.snapshots]
    print_table(("SNAPSHOT", "MADE (UTC)", "WHY"), kept, empty="No snapshots.")
    told = [(instant(e.at_ms), e.event, e.actor, str(e.detail or "")) for e in found.events]
    print_table(("AT (UTC)", "EVENT", "BY", "DETAIL"), told, empty="No events.")


@homes.command()
@click.argument("wallet")
@click.option("--why", default="kept by the operator", show_default=True)
@json_option
def snapshot(wallet: str, *, why: str, as_json: bool) -> None:
    """Keep a home as it is now."""
    name = home_actions.snapshot(connect(), wallet.lower(), why, operator())
    _said(wallet, "snapshot", as_json=as_json, name=name)


@homes.command()
@click.argument("wallet")
@click.argument("name")
@json_option
def restore(wallet: str, name: str, *, as_json: bool) -> None:
    """Return a home to a snapshot; what it is now is kept as another one."""
    home_actions.restore(connect(), wallet.lower(), name, operator())
    _said(wallet, "restore", as_json=as_json, name=name)


@homes.command()
@click.argument("wallet")
@json_option
def prune(wallet: str, *, as_json: bool) -> None:
    """Put a home away now, whatever its balance; it is kept for the recovery period."""
    home_actions.prune(connect(), wallet.lower(), operator())
    _said(wallet, "prune", as_json=as_json)


@homes.command()
@click.argument("wallet")
@json_option
def recover(wallet: str, *, as_json: bool) -> None:
    """Bring a home back that was put away, in debt or not."""
    home_actions.recover(connect(), wallet.lower(), operator(), in_debt=True)
    _said(wallet, "recover", as_json=as_json)


@homes.command()
@click.argument("wallet")
@click.option("--confirm", required=True, help="The wallet's address once more.")
@json_option
def delete(wallet: str, *, confirm: str, as_json: bool) -> None:
    """Delete a home, its snapshots and replicas, for good."""
    home_actions.delete(connect(), wallet.lower(), confirm, operator())
    _said(wallet, "delete", as_json=as_json)


def size(count: int) -> str:
    """Bytes as GB of 10^9."""
    return f"{count / 10**9:.2f} GB"


def days(left: int | None) -> str:
    """How long, for readers."""
    if left is None:
        return "for ever"
    return "over ten years" if left > TEN_YEARS else f"{left} day{'' if left == 1 else 's'}"


def _said(wallet: str, what: str, *, as_json: bool, **more: str) -> None:
    if as_json:
        print_json({"wallet": wallet.lower(), "ordered": what, **more})
        return
    named = f" {more['name']}" if more else ""
    click.echo(f"{what}{named} of the home of {wallet.lower()}: ordered. `homes show` says when it is done.")

"""`axonos ledger`: what a wallet has, why, and whether the journal adds up."""

from __future__ import annotations

import re

import click

from controller.cli.output import connect, instant, json_option, minutes, print_json, print_table
from controller.services import ledger as service

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def _wallet(ctx: click.Context, param: click.Parameter, value: str) -> str:
    del ctx, param
    if not _ADDRESS.fullmatch(value):
        raise click.BadParameter("a wallet's address is 0x and 40 hexadecimal digits")
    return value.lower()


wallet_argument = click.argument("wallet", callback=_wallet)


@click.group()
def ledger() -> None:
    """Money: a wallet's balance and statement, and the audit of the whole journal.

    Credit is counted in GPU-milliseconds: a minute on one GPU is 60000.
    """


@ledger.command()
@wallet_argument
@json_option
def balance(wallet: str, *, as_json: bool) -> None:
    """What WALLET has, what of it is set aside for a claim, and what is left."""
    with connect().database.begin() as db:
        found = service.balance(db, wallet)
    if as_json:
        print_json(found)
        return
    click.echo(f"balance    {minutes(found.gpu_ms):>10} minutes")
    click.echo(f"held       {minutes(found.held_gpu_ms):>10} minutes")
    click.echo(f"available  {minutes(found.available_gpu_ms):>10} minutes")


@ledger.command()
@wallet_argument
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Lines at most."
)
@json_option
def statement(wallet: str, limit: int, *, as_json: bool) -> None:
    """Every credit and charge of WALLET, newest first, with the balance it left.

    With --json each line carries its evidence: for a deposit the transaction, the price and the holding it
    was computed from, for a charge the session.
    """
    lines = service.statement(connect(), wallet, limit)
    if as_json:
        print_json({"wallet": wallet, "lines": lines})
        return
    rows = [
        (instant(n.at_ms), n.kind, minutes(n.gpu_ms), minutes(n.balance_after_gpu_ms), _why(n)) for n in lines
    ]
    print_table(("AT (UTC)", "KIND", "MINUTES", "BALANCE", "WHY"), rows, empty="Nothing has moved yet.")


@ledger.command()
@click.pass_context
@json_option
def audit(ctx: click.Context, *, as_json: bool) -> None:
    """Recompute the journal from its rows; exit status 1 when something does not fit.

    Checked are every balance, both sides of every unit, floors, the hash chain, usage windows against
    charges, and every deposit's credit against its evidence.
    """
    problems = service.audit(connect())
    if as_json:
        print_json({"ok": not problems, "problems": problems})
    else:
        click.echo("\n".join(problems) or "The journal adds up.")
    ctx.exit(1 if problems else 0)


def _why(line: service.StatementLine) -> str:
    return str(line.why.get("tx_hash") or line.why.get("session") or line.why.get("why") or "")

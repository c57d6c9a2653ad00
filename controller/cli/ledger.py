"""`axonos ledger`: what a wallet has, why, and whether the journal adds up."""

from __future__ import annotations

from collections.abc import Callable

import click

from controller.auditor.run import Report
from controller.auditor.run import audit as run_audit
from controller.cli import ledger_addresses, ledger_chain, ledger_entries, ledger_suspense
from controller.cli.ledger_words import wallet_argument
from controller.cli.output import connect, instant, json_option, minutes, plain, print_json, print_table
from controller.services.money import ledger as service
from controller.settings import load_settings


@click.group()
def ledger() -> None:
    """Money: balances and statements, entries by operators, money that waits, and the audit of it all.

    Credit is counted in GPU-milliseconds: a minute on one GPU is 60000.
    """


for _command in (
    ledger_entries.credit,
    ledger_entries.refund,
    ledger_entries.adjust,
    ledger_entries.approve,
    ledger_entries.requests,
    ledger_suspense.suspense,
    ledger_suspense.assign,
    ledger_suspense.return_,
    ledger_suspense.alerts,
    ledger_chain.resume_chain,
    ledger_addresses.addresses,
):
    ledger.add_command(_command)


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
@click.option("--offline", is_flag=True, help="Leave the chains out: the database alone.")
@click.option(
    "--since", metavar="HEAD", help="The head that an earlier audit printed; it must still be there."
)
@json_option
@click.pass_context
def audit(ctx: click.Context, *, offline: bool, since: str | None, as_json: bool) -> None:
    """Rebuild every balance from the journal and the chains; exit status 1 when something does not fit.

    Shares no code with the services: raw SQL and raw RPC, in one snapshot. Checked are the hash chain, both
    sides of every account, every row's seal, usage windows against charges, holds, every credit against its
    evidence, operators' entries; and on each chain every credit's payment, price and holding, every token
    transfer to a revenue wallet, and their balances to the unit. Keep the head it prints, elsewhere.
    """
    report = run_audit(load_settings(), _progress(as_json=as_json), offline=offline, since=since)
    if as_json:
        problems = [f"{f.check} {f.subject}: {f.what}" for f in report.findings]
        print_json({"ok": not problems, "problems": problems, **plain(report)})
    else:
        _print_audit(report)
    ctx.exit(1 if report.findings else 0)


def _progress(*, as_json: bool) -> Callable[[str, int], None]:
    """Tell people how far it is, on stderr."""

    def told(check: str, count: int) -> None:
        if not as_json and count % 500 == 0:
            click.echo(f"{check} {count or ''}".rstrip(), err=True)

    return told


def _print_audit(report: Report) -> None:
    for sent in report.withdrawals:
        click.echo(f"withdrawn  {sent['amount']} {sent['asset']} to {sent['to']} in {sent['tx_hash']}")
    for what in report.unchecked:
        click.echo(f"unchecked  {what}: no node keeps that state")
    for found in report.findings:
        click.echo(f"{found.check:<10} {found.subject}: {found.what}")
    chains = ", ".join(map(str, report.chains)) or "no chain"
    click.echo(f"{report.transfers} transfers and {chains} read; {len(report.findings)} findings.")
    click.echo(f"head {report.head}")


def _why(line: service.StatementLine) -> str:
    told = (line.why.get(name) for name in ("reason", "tx_hash", "session", "why"))
    return str(next(filter(None, told), ""))

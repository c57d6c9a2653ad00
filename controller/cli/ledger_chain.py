"""`axonos ledger resume-chain`: let a watcher go on that stopped at a reorganisation it must not follow."""

from __future__ import annotations

import click

from controller.cli.output import connect, json_option, print_json
from controller.services.deposits import resume as service


@click.command("resume-chain")
@click.argument("chain_id", type=click.IntRange(min=1))
@click.option(
    "--from-block",
    type=click.IntRange(min=0),
    required=True,
    help="The last block that is certainly the same before and after; all above it is read again.",
)
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
def resume_chain(chain_id: int, from_block: int, *, yes: bool, as_json: bool) -> None:
    """Read CHAIN_ID again from a block on, after its watcher stopped.

    Credits of deposits above that block are taken back by contra entries, and given again as soon as the
    deposits are found again and have their confirmations. Look at `axonos ledger alerts` for why it stopped.
    """
    deps = connect()
    if not yes:
        found = service.plan(deps, chain_id, from_block)
        click.echo(
            f"The watcher stopped because {found.stopped_why}. {found.deposits} deposits above block "
            f"{from_block} are read again; {found.credited} credits are taken back until then.",
            err=True,
        )
        click.confirm("Go on?", abort=True, err=True)
    done = service.resume(deps, chain_id, from_block)
    if as_json:
        print_json(done)
    else:
        click.echo(f"Chain {chain_id} is read again from block {from_block + 1}.")

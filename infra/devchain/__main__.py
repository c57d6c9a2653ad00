"""`python -m infra.devchain install|run|deploy`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from infra.devchain.keeper import Keeper
from infra.devchain.node import anvil_program
from infra.devchain.node import install as install_packages
from infra.devchain.rpc import Rpc

_folder = click.Path(file_okay=False, path_type=Path)


@click.group(help="The local chain: anvil with our own contracts.")
def cli() -> None:
    """Commands below."""


@cli.command()
@click.argument("folder", type=_folder)
@click.option("--with-compiler", is_flag=True, help="Also the Solidity compiler, for the tests.")
def install(folder: Path, *, with_compiler: bool) -> None:
    """Install the locked npm packages below FOLDER; prints whether anything changed."""
    click.echo("changed" if install_packages(folder, with_compiler=with_compiler) else "unchanged")


@cli.command()
@click.option("--node", "node_folder", type=_folder, required=True, help="Where `install` put the packages.")
@click.option("--dir", "folder", type=_folder, required=True, help="Where the chain's state lives.")
@click.option("--port", type=click.IntRange(1, 65535), default=8545, show_default=True)
def run(node_folder: Path, folder: Path, port: int) -> None:
    """Serve the chain on loopback until SIGTERM; its state survives a kill."""
    program = anvil_program(node_folder)
    if not program.is_file():
        raise click.ClickException(f"{program} is missing: the local chain needs x86-64 and `install` first")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Keeper(program, folder, port).run()


@cli.command()
@click.option("--dir", "folder", type=_folder, required=True, help="Where deployment.json is written.")
@click.option("--faucet-key", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option(
    "--gas-for",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key file of the account that settles x402 payments: it is given gas money.",
)
@click.option("--rpc", "rpc_url", default="http://127.0.0.1:8545", show_default=True)
@click.option("--wait", "wait_s", type=float, default=30, show_default=True, help="Seconds for the node.")
def deploy(folder: Path, faucet_key: Path, gas_for: Path | None, rpc_url: str, wait_s: float) -> None:
    """Place the contracts and write deployment.json; prints whether anything changed.

    Missing keys are made: the faucet's in the given file, the revenue wallet's in DIR/revenue_key.
    """
    # Signing needs large libraries; `run` must not wait for them.
    from infra.devchain import deploy as contracts  # noqa: PLC0415

    rpc = Rpc(rpc_url)
    rpc.wait(wait_s)
    folder.mkdir(parents=True, exist_ok=True)
    revenue = contracts.read_key(folder / "revenue_key").address
    deployment, changed = contracts.deploy(rpc, faucet=contracts.read_key(faucet_key), revenue_wallet=revenue)
    if gas_for is not None:
        changed |= contracts.give_gas(rpc, contracts.read_key(gas_for).address, folder / "settlement_address")
    written = contracts.write(deployment, folder / "deployment.json")
    click.echo("changed" if changed or written else "unchanged")


if __name__ == "__main__":
    cli()

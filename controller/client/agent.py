"""`axonos-agent`: gets a shell, runs one command in it, fetches the result, ends the session. An example."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from controller.client.api import Axonos
from controller.client.errors import ApiError, ClientError
from controller.client.shell import Shell

if TYPE_CHECKING:
    from controller.client.paying import Payer

REFUSED, UNAVAILABLE = 3, 4
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def usdc(_: click.Context, __: click.Parameter, value: str | None) -> Decimal | None:
    """An amount of USDC, as 0.10."""
    try:
        found = None if value is None else Decimal(value)
    except InvalidOperation:
        found = Decimal(0)
    if found is not None and not (found.is_finite() and found > 0):
        raise click.BadParameter(f"{value!r} is no amount of USDC.")
    return found


@click.command()
@click.option(
    "--site", required=True, envvar="AXONOS_SITE", help="The site's address, as https://gpu.example.org."
)
@click.option("--token-file", type=FILE, envvar="AXONOS_TOKEN_FILE", help="An API token, made on the site.")
@click.option(
    "--wallet-key-file",
    type=FILE,
    envvar="AXONOS_WALLET_KEY_FILE",
    help="A wallet's private key, to sign in or to pay with instead.",
)
@click.option(
    "--pay",
    metavar="USDC",
    callback=usdc,
    help="Pay by x402 with that wallet where its balance does not do: the largest amount offered up to this.",
)
@click.option("--profile", default="small", show_default=True, help="small, medium, large or max.")
@click.option("--gpu-model", default="", help="Only on such GPUs, by a name of the site's; any by default.")
@click.option("--fetch", multiple=True, metavar="PATH", help="A file or folder to bring back; repeatable.")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where it goes.")
@click.option("--patience", "patience_s", default=600, show_default=True, help="Seconds to wait for a GPU.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the command's own output.")
@click.argument("command", nargs=-1, required=True)
def main(
    *, site: str, token_file: Path | None, wallet_key_file: Path | None, pay: Decimal | None, profile: str,
    gpu_model: str, fetch: tuple[str, ...], to: Path, patience_s: int, as_json: bool,
    command: tuple[str, ...],
) -> None:  # fmt: skip
    """Run COMMAND on a GPU and bring its result back. Its exit status is this one's.

    The token needs the scopes sessions:read and sessions:write. With --pay no token and no account is needed.
    """
    try:
        with _axonos(site, token_file, wallet_key_file, pay) as axonos:
            shell = Shell(axonos, profile, gpu_model=gpu_model, patience_s=patience_s)
            with shell:
                done = shell.run(" ".join(command))
                here = [_fetched(shell, path, to) for path in fetch]
    except ClientError as error:
        _fail(error, as_json=as_json)
    ended = shell.session
    if as_json:
        told = {
            "exit_status": done.exit_status,
            "stdout": done.stdout,
            "stderr": done.stderr,
            "fetched": here,
        }
        session = {"session": ended.id, "billed_gpu_ms": ended.billed_gpu_ms} if ended else {}
        paid = None if isinstance(axonos, Axonos) else axonos.paid
        click.echo(json.dumps(told | session | ({"paid": asdict(paid)} if paid else {})))
    else:
        click.echo(done.stdout, nl=False)
        click.echo(done.stderr, nl=False, err=True)
    sys.exit(done.exit_status)


def _axonos(
    site: str, token_file: Path | None, wallet_key_file: Path | None, pay: Decimal | None
) -> Axonos | Payer:
    if pay is not None:
        if wallet_key_file is None:
            raise click.UsageError("--pay needs the wallet's key: name its file with --wallet-key-file.")
        from controller.client.paying import Payer  # noqa: PLC0415 (slow to import, only this way in needs it)

        return Payer(site, _key(wallet_key_file), pay)
    if token_file:
        return Axonos.with_token(site, token_file.read_text())
    if wallet_key_file:
        return Axonos.with_wallet_key(site, _key(wallet_key_file))
    raise click.UsageError("Name a file with --token-file or --wallet-key-file.")


def _key(file: Path) -> str:
    """A private key from its file; what the file holds is never shown."""
    text = file.read_text().strip()
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        raise click.UsageError(f"{file} holds no private key: 64 hex digits are one.")
    return text


def _fetched(shell: Shell, path: str, to: Path) -> str:
    to.mkdir(parents=True, exist_ok=True)
    here = to / (Path(path).name or "result")
    shell.fetch(path, here)
    return str(here)


def _fail(error: ClientError, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": {"code": error.code, "message": error.message}}))
    else:
        click.echo(error.message, err=True)
    refused = isinstance(error, ApiError) and not error.retry
    sys.exit(REFUSED if refused else UNAVAILABLE)


if __name__ == "__main__":
    main()

"""What the ledger's commands take: a wallet's address, minutes of one GPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from controller.domain.operator_entries import gpu_ms_of

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def _wallet(ctx: click.Context, param: click.Parameter, value: str) -> str:
    del ctx, param
    if not _ADDRESS.fullmatch(value):
        raise click.BadParameter("a wallet's address is 0x and 40 hexadecimal digits")
    return value.lower()


def _minutes(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    del ctx, param
    if value is None:
        return None
    try:
        return gpu_ms_of(Decimal(value))
    except (InvalidOperation, ValueError) as error:
        raise click.BadParameter(str(error) if isinstance(error, ValueError) else "not a number") from error


def wallet_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """A wallet's address, in lower case."""
    return click.argument("wallet", callback=_wallet)(command)


def minutes_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Minutes of one GPU, exact; arrives as GPU-milliseconds."""
    return click.argument("minutes", callback=_minutes)(command)


def minutes_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same, where it may be left out."""
    text = "Minutes of one GPU; without it, what the event was worth at its block, without a holder discount."
    return click.option("--minutes", callback=_minutes, help=text)(command)

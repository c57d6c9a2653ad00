"""How commands of the controller speak: one JSON object for machines, a table for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from controller.services.deps import Deps
from controller.settings import load_settings

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, for machines."
)


def connect() -> Deps:
    """The ports, from the settings of this machine.

    Raises:
        SettingsInvalid: there is no usable configuration.
    """
    settings = load_settings()
    from controller.adapters.wiring import make_deps  # noqa: PLC0415 - the chain library loads for a second

    return make_deps(settings)


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, all the way down."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def print_json(value: Any) -> None:
    """Print one JSON object."""
    click.echo(json.dumps(plain(value), default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print a table, or a sentence when there is nothing to show."""
    if not rows:
        click.echo(empty)
        return
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


def instant(ms: int | None) -> str:
    """An instant for people, UTC."""
    return "-" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def minutes(gpu_ms: int) -> str:
    """GPU-milliseconds as minutes of credit, floored to tenths."""
    tenths = gpu_ms // 6_000
    return f"{tenths // 10}.{tenths % 10}"

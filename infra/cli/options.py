"""Options that every command of infra takes: which instance, and in which form to answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, for machines."
)


def instance_options(command: Any) -> Any:
    """`--instance` and `--state`; without them the default instance."""
    command = click.option("--instance", "name", help="Name of a second, separate installation.")(command)
    return click.option(
        "--state", type=click.Path(path_type=Path), help="State folder (default /var/lib/axonos)."
    )(command)

"""`python -m controller.migrations upgrade|status`: the schema of the database named in the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import OperationalError

from controller.errors import SettingsInvalid
from controller.migrations import migrate, pending
from controller.settings import load_settings


@contextmanager
def _database() -> Iterator[str]:
    """The database's URL; what goes wrong with it becomes a message and exit status 1."""
    try:
        yield load_settings().database.url
    except SettingsInvalid as error:
        raise click.ClickException(error.message) from error
    except OperationalError as error:
        raise click.ClickException(f"The database cannot be reached: {error.orig}") from error


@click.group()
def main() -> None:
    """Upgrade the platform's database, or say whether it needs that."""


@main.command()
def upgrade() -> None:
    """Bring the database to the newest schema; prints `changed` or `unchanged`."""
    with _database() as url:
        changed = pending(url)
        migrate(url)
    click.echo("changed" if changed else "unchanged")


@main.command()
def status() -> None:
    """Print `current` or `pending`; exit status 1 when an upgrade is pending."""
    with _database() as url:
        waits = pending(url)
    click.echo("pending" if waits else "current")
    raise SystemExit(int(waits))


if __name__ == "__main__":
    main(prog_name="python -m controller.migrations")

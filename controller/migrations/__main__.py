"""`python -m controller.migrations upgrade|status`: the schema of the database named in the settings."""

from __future__ import annotations

import click

from controller.errors import SettingsInvalid
from controller.migrations import migrate, pending
from controller.settings import load_settings


def _url() -> str:
    try:
        return load_settings().database.url
    except SettingsInvalid as error:
        raise click.ClickException(error.message) from error


@click.group()
def main() -> None:
    """Upgrade the platform's database, or say whether it needs that."""


@main.command()
def upgrade() -> None:
    """Bring the database to the newest schema; prints `changed` or `unchanged`."""
    url = _url()
    changed = pending(url)
    migrate(url)
    click.echo("changed" if changed else "unchanged")


@main.command()
def status() -> None:
    """Print `current` or `pending`; exit status 1 when an upgrade is pending."""
    waits = pending(_url())
    click.echo("pending" if waits else "current")
    raise SystemExit(int(waits))


if __name__ == "__main__":
    main(prog_name="python -m controller.migrations")

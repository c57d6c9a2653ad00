"""`axonos backup`: copies of database and stack state, proved by being restored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from controller.backup import copies
from controller.cli.output import json_option, print_json, print_table
from controller.settings import Settings, load_settings

_folder = click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Where backups lie; STATE/backups."
)


@click.group()
def backup() -> None:
    """Back up database and stack state; list, prove, restore. As root, or as the database's owner."""


@backup.command()
@_folder
@click.option("--keep", default=14, show_default=True, type=click.IntRange(1), help="How many to keep.")
@json_option
def take(folder: Path | None, keep: int, *, as_json: bool) -> None:
    """Take a backup, prove it by a restore beside the database, then remove the oldest."""
    settings, now = load_settings(), datetime.now(UTC)
    root = folder or settings.state_dir / "backups"
    taken = copies.take(settings.database.url, settings.state_dir / "pulumi", root, now)
    rows = copies.prove(settings.database.url, taken.folder, _scratch(now))
    removed = copies.thin_out(root, keep)
    if as_json:
        print_json({"folder": str(taken.folder), "bytes": taken.bytes, "rows": rows, "removed": len(removed)})
        return
    click.echo(f"{taken.folder}: {taken.bytes} bytes, restored {sum(rows.values())} rows for proof")


@backup.command("list")
@_folder
@json_option
def list_(folder: Path | None, *, as_json: bool) -> None:
    """All backups, oldest first."""
    found = copies.listed(_root(load_settings(), folder))
    if as_json:
        print_json({"backups": [{"folder": str(one.folder), "bytes": one.bytes} for one in found]})
        return
    rows = [(one.folder.name, one.bytes) for one in found]
    print_table(("BACKUP", "BYTES"), rows, empty="There is no backup. `axonos backup take` makes one.")


@backup.command()
@click.argument("which", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
def prove(which: Path, *, as_json: bool) -> None:
    """Restore a backup for real into a database of its own, count its rows, drop it again."""
    rows = copies.prove(load_settings().database.url, which, _scratch(datetime.now(UTC)))
    if as_json:
        print_json({"ok": True, "rows": rows})
        return
    click.echo(f"{which}: {sum(rows.values())} rows of {len(rows)} tables")


@backup.command()
@click.argument("which", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
def restore(which: Path, *, as_json: bool) -> None:
    """Restore a backup into the configured database, which must be empty. Stop worker and site before."""
    rows = copies.restore(load_settings().database.url, which)
    if as_json:
        print_json({"rows": rows})
        return
    click.echo(f"{sum(rows.values())} rows of {len(rows)} tables are back")


def _root(settings: Settings, folder: Path | None) -> Path:
    return folder or settings.state_dir / "backups"


def _scratch(now: datetime) -> str:
    return f"axonos_proof_{now:%H%M%S}"

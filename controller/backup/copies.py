"""Backups as folders: taken whole or not at all, listed, thinned out, restored, proved.

A backup is `DATE/` with `database.dump` (pg_dump's own format), `stack.tar` (the stack's state) and
`manifest.json` (a SHA-256 of each). It has no key and no password in it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controller.backup import programs
from controller.errors import BackupFailed, Refused

MANIFEST, DUMP, STACK = "manifest.json", "database.dump", "stack.tar"
_COUNTS = """
    SELECT coalesce(json_object_agg(relname, (xpath('/row/n/text()', query_to_xml(
        format('SELECT count(*) AS n FROM %I', relname), false, true, '')))[1]::text::bigint), '{}')
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True)
class Backup:
    """One backup and its size."""

    folder: Path
    bytes: int


def take(url: str, stack: Path, root: Path, now: datetime) -> Backup:
    """Take a backup. It has its name only when it is whole and has been read back.

    Args:
        url: the database's.
        stack: the folder of the stack's state; left out where there is none.
        root: where backups lie.
        now: names it.

    Raises:
        BackupFailed: a program failed, or what was written cannot be read.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder, fresh = root / now.strftime("%Y-%m-%dT%H%M%SZ"), root / ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        programs.call("pg_dump", "--format=custom", f"--file={fresh / DUMP}", url=url)
        if stack.is_dir():
            with tarfile.open(fresh / STACK, "w") as tar:
                tar.add(stack, arcname="pulumi")
        listed = programs.call("pg_restore", "--list", str(fresh / DUMP), url=url)
        if "TABLE DATA" not in listed:
            raise BackupFailed("The dump holds no table.")
        sums = {path.name: _sha256(path) for path in sorted(fresh.iterdir())}
        (fresh / MANIFEST).write_text(json.dumps({"at": now.isoformat(), "sha256": sums}, indent=1) + "\n")
        fresh.replace(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return _of(folder)


def listed(root: Path) -> list[Backup]:
    """All backups, oldest first."""
    return [_of(path.parent) for path in sorted(root.glob(f"*/{MANIFEST}"))]


def thin_out(root: Path, keep: int) -> list[Path]:
    """Remove all but the newest; what was removed. The newest is never removed."""
    gone = [backup.folder for backup in listed(root)][: -max(1, keep)]
    for folder in gone:
        shutil.rmtree(folder)
    return gone


def restore(url: str, folder: Path) -> dict[str, int]:
    """Restore a backup's database into an empty one.

    Returns:
        how many rows each table has now.

    Raises:
        Refused: the database is not empty.
        BackupFailed: a file is not what was backed up, or it cannot be restored.
    """
    check(folder)
    if counts(url):
        raise Refused("The database is not empty: restore into a new one, then rename it.")
    _read_back(url, folder, _name(url))
    return counts(url)


def prove(url: str, folder: Path, scratch: str) -> dict[str, int]:
    """Restore a backup for real into a database of its own beside the platform's, count, and drop it.

    Args:
        url: the platform's database; it is not touched.
        folder: the backup.
        scratch: name of the database that is made and dropped.

    Returns:
        rows by table; every table of the platform is among them.

    Raises:
        BackupFailed: it cannot be restored, or a table is missing.
    """
    check(folder)
    programs.call("createdb", scratch, url=url)
    try:
        _read_back(url, folder, scratch)
        found = counts(url, scratch)
    finally:
        programs.call("dropdb", "--force", scratch, url=url)
    if missing := sorted(set(counts(url)) - set(found)):
        raise BackupFailed(f"The backup lacks {', '.join(missing)}: it is of an older version.")
    return found


def check(folder: Path) -> None:
    """Whether the files are those that were backed up.

    Raises:
        BackupFailed: with the file that is missing or another.
    """
    try:
        sums = json.loads((folder / MANIFEST).read_text())["sha256"]
        other = [name for name, digest in sums.items() if _sha256(folder / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        raise BackupFailed(f"{folder} is no whole backup: {error}") from error
    if other:
        raise BackupFailed(f"{folder}: {', '.join(other)} is not what was backed up.")


def counts(url: str, database: str | None = None) -> dict[str, int]:
    """Rows by table; nothing for an empty database."""
    said = programs.call("psql", "-X", "-A", "-t", "-c", _COUNTS, url=url, database=database)
    found: dict[str, int] = json.loads(said)
    return found


def _read_back(url: str, folder: Path, database: str) -> None:
    options = ("--exit-on-error", "--no-owner", f"--dbname={database}")
    programs.call("pg_restore", *options, str(folder / DUMP), url=url)


def _of(folder: Path) -> Backup:
    size = sum(path.stat().st_size for path in folder.iterdir())
    return Backup(folder, size)


def _name(url: str) -> str:
    return programs.connection(url)["PGDATABASE"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

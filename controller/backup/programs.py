"""PostgreSQL's own programs, called with a database's URL; no password is an argument."""

from __future__ import annotations

import glob
import os
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from controller.errors import BackupFailed

LIMIT_S = 3600


def connection(url: str) -> dict[str, str]:
    """Libpq's environment for an SQLAlchemy URL.

    >>> connection("postgresql+psycopg://axonos@/axonos?host=/run/axonos/postgres")
    {'PGDATABASE': 'axonos', 'PGUSER': 'axonos', 'PGHOST': '/run/axonos/postgres'}
    """
    parts = urlsplit(url)
    found = {
        "PGDATABASE": parts.path.lstrip("/"),
        "PGUSER": unquote(parts.username or ""),
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or ""),
        "PGPASSWORD": unquote(parts.password or ""),
    }
    found |= {f"PG{name.upper()}": value for name, value in parse_qsl(parts.query)}
    return {name: value for name, value in found.items() if value}


def call(program: str, *arguments: str, url: str, database: str | None = None) -> str:
    """Run one program; its output.

    Raises:
        BackupFailed: with the end of what it said.
    """
    environment = {**os.environ, **connection(url), **({"PGDATABASE": database} if database else {})}
    try:
        done = subprocess.run(
            [_found(program), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackupFailed(f"{program}: {error}") from error
    if done.returncode:
        raise BackupFailed(f"{program}: {done.stderr.strip()[-400:]}")
    return done.stdout


def _found(program: str) -> str:
    """Of several versions the newest, which reads databases of all older ones."""
    versions = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"), key=_version)  # noqa: PTH207
    return versions[-1] if versions else program


def _version(path: str) -> float:
    try:
        return float(Path(path).parents[1].name)
    except ValueError:
        return 0.0

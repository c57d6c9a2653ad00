"""Where Pulumi keeps a stack's state: files of this machine, or a PostgreSQL database for several machines.

Either way one change at a time: our turn ends with its process, Pulumi's own lock may outlive a killed CLI.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

from infra import stack_lock
from infra.errors import StackConfigInvalid, StateUnreachable
from infra.reporting import Report
from infra.stack_lock import Owner, owner_of, until

CONNECT_LIMIT_S = 10
_MINE = "SELECT pg_try_advisory_lock(hashtext('axonos.infra'), hashtext(%s))"
_LOCKS = "SELECT data FROM pulumi_state WHERE key LIKE %s"


class Backend(Protocol):
    """One place of state."""

    @property
    def url(self) -> str:
        """As Pulumi takes it."""
        ...

    def owners(self, project: str, stack: str) -> list[Owner]:
        """Who holds Pulumi's lock on a stack."""
        ...

    def turn(
        self, stack: str, *, timeout_s: float, report: Report, stopped: Callable[[], bool]
    ) -> AbstractContextManager[None]:
        """Our lock, for the block; see `stack_lock.turn`."""
        ...


@dataclass(frozen=True)
class FileBackend:
    """A folder of this machine."""

    folder: Path

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def owners(self, project: str, stack: str) -> list[Owner]:
        return stack_lock.owners(self.folder, project, stack)

    def turn(
        self, stack: str, *, timeout_s: float, report: Report, stopped: Callable[[], bool]
    ) -> AbstractContextManager[None]:
        del stack
        return stack_lock.turn(self.folder, timeout_s=timeout_s, report=report, stopped=stopped)


@dataclass(frozen=True)
class PostgresBackend:
    """A database; `url` is a secret where it holds a password."""

    url: str

    def owners(self, project: str, stack: str) -> list[Owner]:
        with self._connected() as db:
            try:
                rows = db.execute(
                    _LOCKS, (f"%.pulumi/locks/organization/{project}/{stack}/%.json",)
                ).fetchall()
            except psycopg.errors.UndefinedTable:  # before Pulumi's first use
                return []
        # Pulumi keeps each of its files as base64 in an object.
        return [owner_of(json.loads(base64.b64decode(row[0]["data"]))) for row in rows]

    @contextmanager
    def turn(
        self, stack: str, *, timeout_s: float, report: Report, stopped: Callable[[], bool]
    ) -> Iterator[None]:
        """An advisory lock, which goes with the connection that holds it."""
        with self._connected() as db:

            def taken() -> bool:
                row: tuple[Any, ...] | None = db.execute(_MINE, (stack,)).fetchone()
                return bool(row and row[0])

            if not taken():
                report("waiting for another operator, who is changing this stack")
                until(taken, timeout_s, stopped, "another operator")
            yield

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        try:
            db = psycopg.connect(self.url, autocommit=True, connect_timeout=CONNECT_LIMIT_S)
        except psycopg.OperationalError as error:
            raise StateUnreachable(f"The database of the stacks' state does not answer: {error}") from error
        with db:
            yield db


def backend(folder: Path, url_file: Path | None) -> Backend:
    """The backend that a stack's configuration names.

    Args:
        folder: for files, and for the project in any case.
        url_file: holds the database's `postgres://` URL; None for files.

    Raises:
        StackConfigInvalid: the file cannot be read, or holds something else.
    """
    if url_file is None:
        return FileBackend(folder)
    try:
        url = url_file.read_text().strip()
    except OSError as error:
        raise StackConfigInvalid(f"{url_file}: {error.strerror}") from error
    if not url.startswith("postgres://"):
        raise StackConfigInvalid(f"{url_file} holds no postgres:// URL.")
    return PostgresBackend(url)

"""The product's own database adapter on a connection that stops before each statement and commit.

A statement that would wait for a lock fails after a millisecond behind a savepoint and is tried again once
somebody's transaction has ended: so a lock that is held never stops the one thread that may run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import create_engine

from controller.adapters.database import PostgresDatabase
from deposits.schedule import Deadlock, Fault, Killed, Scheduler

_WORDS = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+(\w+)", re.IGNORECASE)
_CHANGES = re.compile(r"^\s*(INSERT|UPDATE|DELETE)|FOR UPDATE|advisory|SELECT axonos", re.IGNORECASE)
_OPTIONS = "-c lock_timeout=1 -c synchronous_commit=off -c jit=off"


def told(statement: str) -> str:
    """A statement in a few words: `select money_event`, `lock chain_cursor`."""
    verb = "lock" if re.search("FOR UPDATE|advisory", statement) else statement.split(None, 1)[0].lower()
    tables = _WORDS.findall(statement)
    return f"{verb} {tables[0]}" if tables else f"{verb} {statement.split(None, 2)[1][:24]}"


class SteppedDatabase(PostgresDatabase):
    """Implements `ports.Database` for one actor; `scheduler` is the run it takes part in at the moment."""

    def __init__(self, url: str, conninfo: str) -> None:
        self.scheduler: Scheduler | None = None
        self.committed: Callable[[], None] = lambda: None
        self.engine = create_engine(url, creator=lambda: _connect(self, conninfo), pool_size=1)


def _connect(database: SteppedDatabase, conninfo: str) -> psycopg.Connection[Any]:
    connection = _Connection.connect(conninfo, options=_OPTIONS, cursor_factory=_Cursor)
    connection.database = database
    return connection


class _Connection(psycopg.Connection[Any]):
    database: SteppedDatabase
    changed = False

    def commit(self) -> None:
        # What only read ends without anybody noticing.
        fault = self.stopped("commit") if self.in_transaction and self.changed else None
        self.changed = False
        if fault in {"kill", "cut"}:
            self.end(fault)
        super().commit()
        self._released()
        if fault:
            self.database.committed()
            self.end(fault)
        self.database.committed()

    def rollback(self) -> None:
        self.changed = False
        super().rollback()
        self._released()

    @property
    def in_transaction(self) -> bool:
        return self.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE

    def stopped(self, label: str) -> Fault | None:
        scheduler = self.database.scheduler
        return scheduler.step(label) if scheduler else None

    def wait_for_locks(self) -> bool:
        return bool(self.database.scheduler and self.database.scheduler.wait_for_locks())

    def _released(self) -> None:
        if self.database.scheduler:
            self.database.scheduler.released()

    def end(self, fault: Fault) -> None:
        """The process dies here, or its connection is cut: either way the server takes back what is open."""
        if not self.closed:
            self.pgconn.exec_(b"ROLLBACK")
        self._released()
        if fault == "kill":
            assert self.database.scheduler
            self.database.scheduler.die()
            raise Killed
        self.close()
        raise psycopg.OperationalError("the connection was cut")


class _Cursor(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, **options: Any) -> _Cursor:
        self._stepped(str(query), lambda: super(_Cursor, self).execute(query, params, **options))
        return self

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        self._stepped(str(query), lambda: super(_Cursor, self).executemany(query, params_seq, **options))

    def _stepped(self, statement: str, execute: Callable[[], Any]) -> None:
        connection: Any = self.connection
        fault = connection.stopped(told(statement))
        if fault:
            connection.end(fault)
        if connection.database.scheduler is None or not _CHANGES.search(statement):
            execute()
        else:
            self._patiently(connection, execute)

    def _patiently(self, connection: _Connection, execute: Callable[[], Any]) -> None:
        plain, connection.changed = connection.pgconn, True
        if not connection.in_transaction:
            plain.exec_(b"BEGIN")
        while True:
            plain.exec_(b"SAVEPOINT tried")
            try:
                execute()
            except errors.LockNotAvailable:
                plain.exec_(b"ROLLBACK TO tried")
                if not self._wait(connection):
                    raise
            else:
                plain.exec_(b"RELEASE tried")
                return

    def _wait(self, connection: _Connection) -> bool:
        try:
            return connection.wait_for_locks()
        except Deadlock as error:
            raise errors.DeadlockDetected(str(error)) from error

"""PostgreSQL through SQLAlchemy: pooled connections, one transaction per block."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlmodel import Session

from controller.errors import DatabaseUnavailable


class PostgresDatabase:
    """Implements `ports.Database`. Safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        """Args: a `postgresql+psycopg://` URL; connections kept open, twice as many at peaks."""
        self.engine = create_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_timeout=10)
        event.listen(self.engine, "checkout", self._check)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (OperationalError, InterfaceError) as error:
            raise DatabaseUnavailable from error

    def _check(self, connection: Any, _record: Any, _proxy: Any) -> None:
        """A server that goes says so: one on which it has spoken meanwhile is asked whether it lives.

        Asking each one each time (`pool_pre_ping`) costs a short transaction much of its time.
        """
        try:
            said = select.poll()
            said.register(connection.fileno(), select.POLLIN)
            if said.poll(0):
                self.engine.dialect.do_ping(connection)
        except self.engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

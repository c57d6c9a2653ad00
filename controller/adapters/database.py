"""PostgreSQL through SQLAlchemy: pooled connections, one transaction per block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from controller.errors import DatabaseUnavailable


class PostgresDatabase:
    """Implements `ports.Database`. Safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        """Args: a `postgresql+psycopg://` URL; connections kept open, twice as many at peaks."""
        self.engine = create_engine(
            url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, pool_timeout=10
        )

    @contextmanager
    def begin(self) -> Iterator[Session]:
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (OperationalError, InterfaceError) as error:
            raise DatabaseUnavailable from error

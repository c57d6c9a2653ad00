"""Pooled connections: one that the server has cut is never handed out, and nobody has to ask each time."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from postgres_kit import Cluster
from sqlalchemy import text

from controller.adapters.database import PostgresDatabase

pytestmark = pytest.mark.integration
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def pids(database: PostgresDatabase, count: int) -> set[int]:
    """Backends of so many transactions at the same time."""
    if count == 0:
        return set()
    with database.begin() as db:
        return {int(db.execute(text("SELECT pg_backend_pid()")).scalar_one())} | pids(database, count - 1)


def cut(url: str) -> None:
    """What a restarted server does to everybody; returns once they are gone."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}".encode())
        while admin.execute(f"SELECT 1 {OTHERS}".encode()).fetchone():
            time.sleep(0.01)


def test_connections_that_were_cut_are_replaced_before_anything_is_asked(
    database: Any, database_url: str
) -> None:
    before = pids(database, 3)
    assert pids(database, 3) == before, "they are kept"
    cut(database_url)
    after = pids(database, 3)
    assert len(after) == 3
    assert not before & after


def test_what_the_server_says_in_between_closes_nothing(
    database: Any, database_url: str, postgres: Cluster
) -> None:
    with database.begin() as db:
        connection: psycopg.Connection[Any] = db.connection().connection.dbapi_connection
        db.execute(text("LISTEN anything"))
        before = connection.info.backend_pid
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("NOTIFY anything")
    assert pids(database, 1) == {before}

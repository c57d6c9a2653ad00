"""The migrations make exactly what the models say, once, and the journal's rows cannot be changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from click.testing import CliRunner
from fakes import make_settings
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controller.adapters.database import PostgresDatabase
from controller.migrations import __main__ as command
from controller.migrations import migrate, pending
from controller.models import metadata
from controller.services.money.ledger import Posting, post

pytestmark = pytest.mark.integration


def test_migrations_and_models_agree(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(database, database_url):
    with database.begin() as db:
        post(db, at_ms=1, transfers=[Posting("k", "deposit", "issued:eth", "user:0xa", 5)])
    assert not pending(database_url)
    migrate(database_url)
    with database.begin() as db:
        assert db.execute(text("SELECT count(*) FROM transfer")).scalar() == 1


def test_an_empty_database_is_migrated_from_the_command_line(postgres, monkeypatch):
    postgres.run("CREATE DATABASE from_command")
    settings = make_settings(postgres.url("from_command"))
    monkeypatch.setattr(command, "load_settings", lambda: settings)
    said = [
        (found.output.strip(), found.exit_code)
        for verb in ("status", "upgrade", "upgrade", "status")
        for found in [CliRunner().invoke(command.main, [verb])]
    ]
    assert said == [("pending", 1), ("changed", 0), ("unchanged", 0), ("current", 0)]
    postgres.run("DROP DATABASE from_command WITH (FORCE)")
    found = CliRunner().invoke(command.main, ["upgrade"])
    assert found.exit_code == 1
    assert "cannot be reached" in found.output


@pytest.mark.parametrize("table", ["transfer", "journal_batch", "money_event_transition"])
@pytest.mark.parametrize("change", ["UPDATE {0} SET id = id", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"])
def test_money_rows_cannot_be_changed(database: PostgresDatabase, table, change):
    with pytest.raises(DBAPIError, match="append-only"), database.begin() as db:
        db.execute(text(change.format(table)))


def test_the_migrations_files_are_part_of_the_package():
    from controller.migrations import versions

    assert (Path(versions.__file__).parent / "0001_first.sql").is_file()

"""A backup is restored for real: the same rows, and nothing that is broken passes for one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.backup import copies, programs
from controller.errors import BackupFailed, Refused
from controller.services.money.ledger import Posting, post

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def url(database: Any, database_url: str) -> str:
    """A platform's database with some rows."""
    with database.begin() as db:
        for number in range(3):
            post(db, at_ms=1, transfers=[Posting(f"k{number}", "deposit", "issued:eth", "user:0xa", 5)])
    return database_url


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    folder = tmp_path / "pulumi"
    folder.mkdir()
    (folder / "local.json").write_text("{}")
    return folder


def test_what_was_backed_up_comes_back_row_by_row(
    url: str, stack: Path, tmp_path: Path, postgres: Any
) -> None:
    before = copies.counts(url)
    assert before["transfer"] == 3
    taken = copies.take(url, stack, tmp_path / "backups", NOW)
    assert {path.name for path in taken.folder.iterdir()} == {"database.dump", "stack.tar", "manifest.json"}
    assert taken.folder.stat().st_mode & 0o077 == 0
    assert copies.prove(url, taken.folder, "proof_of_it") == before
    assert "proof_of_it" not in programs.call("psql", "-Atc", "SELECT datname FROM pg_database", url=url)
    postgres.run("CREATE DATABASE empty_one")
    other = postgres.url("empty_one")
    assert copies.restore(other, taken.folder) == before == copies.counts(url)
    with pytest.raises(Refused, match="not empty"):
        copies.restore(other, taken.folder)
    postgres.run("DROP DATABASE empty_one WITH (FORCE)")


def test_a_flipped_byte_and_a_missing_file_are_found(url: str, stack: Path, tmp_path: Path) -> None:
    taken = copies.take(url, stack, tmp_path / "backups", NOW)
    dump = taken.folder / copies.DUMP
    content = bytearray(dump.read_bytes())
    content[-1] ^= 1
    dump.write_bytes(content)
    with pytest.raises(BackupFailed, match=r"database\.dump is not what was backed up"):
        copies.prove(url, taken.folder, "proof_of_it")
    dump.unlink()
    with pytest.raises(BackupFailed, match="no whole backup"):
        copies.restore(url, taken.folder)


def test_one_that_breaks_off_leaves_none(stack: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="pg_dump"):
        copies.take("postgresql+psycopg://nobody@/none?host=/nonexistent", stack, tmp_path / "backups", NOW)
    assert list((tmp_path / "backups").iterdir()) == []


def test_the_oldest_go_and_the_newest_stays(url: str, stack: Path, tmp_path: Path) -> None:
    root = tmp_path / "backups"
    first, second = (copies.take(url, stack, root, now) for now in (NOW, LATER))
    assert copies.thin_out(root, 1) == [first.folder]
    assert copies.thin_out(root, 0) == []
    assert [one.folder for one in copies.listed(root)] == [second.folder]

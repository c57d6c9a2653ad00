"""Fixtures every test may use: a private PostgreSQL cluster, a fresh migrated database per test, a browser."""

from __future__ import annotations

import getpass
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, sync_playwright

from controller.adapters.database import PostgresDatabase
from controller.migrations import migrate

_numbers = itertools.count(1)
GROUPS = ("unit", "infra", "integration", "e2e")
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick groups first, so that a plain fault shows in seconds; the whole platform last."""
    here = Path(__file__).parent

    def group(item: pytest.Item) -> int:
        name = item.path.relative_to(here).parts[0]
        return GROUPS.index(name) if name in GROUPS else len(GROUPS)

    items.sort(key=group)


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL that only this test run reaches, over a unix socket."""

    socket_dir: Path

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.socket_dir}"

    def run(self, statement: str) -> None:
        with psycopg.connect(host=str(self.socket_dir), user="postgres", autocommit=True) as db:
            db.execute(statement)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        pytest.fail("PostgreSQL's server programs are missing; `make test` installs them")
    return Path(on_path).parent


def _owner() -> str | None:
    """PostgreSQL refuses root: the unprivileged user that runs it, None when we are unprivileged ourselves."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    # A short path on purpose: a socket's path may hold 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="axpg-", dir="/tmp"))
    owner = _owner()
    if owner:
        shutil.chown(home, owner)
    as_owner = ["runuser", "-u", owner, "--"] if owner else []

    def run(*command: str) -> None:
        done = subprocess.run([*as_owner, *command], capture_output=True, text=True, cwd="/", check=False)
        if done.returncode:
            pytest.fail(f"{command[0]}: {done.stderr or done.stdout} (as {owner or getpass.getuser()})")

    programs = _programs()
    data = str(home / "data")
    run(str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
    options = f"-c listen_addresses='' -k {home} -c fsync=off -c max_connections=200"
    run(str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(home / "log"), "-o", options, "start")
    try:
        yield Cluster(home)
    finally:
        run(str(programs / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def migrated(postgres: Cluster) -> str:
    """The name of a migrated database that others are copied from."""
    postgres.run("CREATE DATABASE axonos_template")
    migrate(postgres.url("axonos_template"))
    return "axonos_template"


@pytest.fixture
def database_url(postgres: Cluster, migrated: str) -> Iterator[str]:
    """URL of a fresh migrated database, dropped after the test."""
    name = f"test_{next(_numbers)}"
    postgres.run(f"CREATE DATABASE {name} TEMPLATE {migrated}")
    yield postgres.url(name)
    postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[PostgresDatabase]:
    """`ports.Database` on a fresh migrated database."""
    opened = PostgresDatabase(database_url, pool_size=20)
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for one module: Playwright's loop in this thread would refuse `asyncio.run` of later modules."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()

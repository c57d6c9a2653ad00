"""Fixtures every test may use: a private PostgreSQL cluster, a fresh migrated database per test, a browser."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from postgres_kit import Cluster, run_cluster

from controller.adapters.database import PostgresDatabase
from controller.migrations import migrate

_numbers = itertools.count(1)
GROUPS = ("unit", "infra", "integration", "bench", "chaos", "e2e")
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with run_cluster() as cluster:
        yield cluster


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

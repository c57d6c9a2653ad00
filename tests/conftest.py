"""Fixtures every test may use: a private PostgreSQL cluster, a fresh migrated database per test, a browser."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from postgres_kit import Cluster, run_cluster
from xdist.scheduler.loadscope import LoadScopeScheduling

from controller.adapters.database import PostgresDatabase
from controller.migrations import migrate

# What benches and tests share lies with the benches.
sys.path.append(str(Path(__file__).parent / "bench"))
_numbers = itertools.count(1)
# Folders whose tests share what a machine has once, each with its lane: the instance under test, nested hosts.
# They are the longest and go first; every other module is a lane of its own.
LANES = {
    "e2e": "platform",
    "integration/fleet": "machines",
    "integration/host": "machines",
    "integration/install": "machines",
    "chaos": "machines",
}
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


class Lanes(LoadScopeScheduling):
    """Work for two processes: tests of one lane run in one process, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return lane(nodeid)


def lane(nodeid: str) -> str:
    """The lane of a test, by where its module lies."""
    module = nodeid.split("::", 1)[0].removeprefix("tests/")
    return next((name for folder, name in LANES.items() if module.startswith(f"{folder}/")), module)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    return Lanes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long lanes first, so that both processes end together."""
    order = [*dict.fromkeys(LANES.values())]

    def place(item: pytest.Item) -> int:
        name = lane(item.nodeid)
        return order.index(name) if name in order else len(order)

    items.sort(key=place)


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

"""A platform that agents can pay, fresh for each test, on a chain that a module shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# What holds answers against the OpenAPI document, and real hosts, are other folders' kits.
sys.path += [str(Path(__file__).parents[1] / name) for name in ("web", "host", "sessions")]

from agent_kit import Platform, deps_for, platform_running, settings_for
from chainkit import Chain, anvil_fixture  # noqa: F401
from openapi_kit import watch

from controller.adapters.database import PostgresDatabase

Make = Callable[..., Platform]


@pytest.fixture
def make_platform(
    anvil: Chain,
    database: PostgresDatabase,
    database_url: str,
    tmp_path: Path,
) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(*, gpus: int = 8, **sections: Any) -> Platform:
            settings = settings_for(anvil, database_url, tmp_path, **sections)
            deps = deps_for(settings, database)
            stack.callback(deps.settler.close)  # type: ignore[union-attr]
            stack.callback(deps.chain.close)  # type: ignore[attr-defined]
            platform = stack.enter_context(platform_running(deps, anvil, gpus=gpus))
            watchers.append(watch(platform.app))
            return platform

        watchers: list[list[str]] = []
        yield make
    assert [found for seen in watchers for found in seen] == [], "answers that the document does not have"


@pytest.fixture
def platform(make_platform: Make) -> Platform:
    return make_platform()

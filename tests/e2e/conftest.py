"""A whole platform for the tests: stood up by the product's own first command, taken down by its own last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chainkit import free_port
from platform_kit import INSTANCE, UP_LIMIT_S, Platform, first_command

from controller.settings import load_settings


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """One instance for all tests of a run. AXONOS_TEST_PLATFORM names the axonos.toml of a running one instead."""
    running = os.environ.get("AXONOS_TEST_PLATFORM")
    if running:
        yield Platform(load_settings(Path(running)))
        return
    ports = [f"--{name}-port={free_port()}" for name in ("web", "gateway", "chain")]
    try:
        first_command("up", *ports, "--homes-gib=2", "--no-selfcheck", limit_s=UP_LIMIT_S)
        yield Platform(load_settings(Path(f"/var/lib/axonos-{INSTANCE}/axonos.toml")))
    finally:
        first_command("down", "--purge", "--yes", limit_s=300)

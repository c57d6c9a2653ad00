"""Modules of the local collection, called as Ansible does on this machine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import collection_kit  # noqa: F401
import pytest

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def converge() -> Run:
    """`converge("files", check=True, entries=[…])`: a module's answer."""

    def run(name: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
        module = importlib.import_module(f"ansible_collections.axonos.platform.plugins.modules.{name}")
        given = {key: spec.get("default") for key, spec in module.ARGUMENTS.items()} | params
        found: dict[str, Any] = module.converge(given, check)
        return found

    return run


@pytest.fixture
def supervisord() -> str:
    return str(Path(sys.executable).with_name("supervisord"))

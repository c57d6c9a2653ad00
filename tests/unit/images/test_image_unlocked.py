"""A locked package that has left every archive: the current set is built instead, and never silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from images.desktop import build as build_module
from images.desktop.build import obtain
from images.desktop.errors import BuildFailed
from images.desktop.lock import Lock, Package

OLD = Lock(1, (Package("tool", "1", "all", "a" * 64, 1, "pool/tool_1.deb"),))
NEW = Lock(2, (Package("tool", "2", "all", "b" * 64, 1, "pool/tool_2.deb"),))


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> set[Lock]:
    """Which locks can be had whole; the archive's current set is NEW."""
    whole: set[Lock] = set()
    monkeypatch.setattr(
        build_module, "fetch_packages", lambda lock, *_: [] if lock in whole else list(lock.packages)
    )
    monkeypatch.setattr(build_module, "resolve", lambda _: NEW)
    return whole


def no_apt() -> Any:
    return None


def test_the_lock_is_taken_when_it_can_be_had(archive: set[Lock], tmp_path: Path) -> None:
    archive |= {OLD, NEW}
    assert obtain(OLD, tmp_path, no_apt) == OLD


def test_else_the_current_set(archive: set[Lock], tmp_path: Path) -> None:
    archive.add(NEW)
    assert obtain(OLD, tmp_path, no_apt) == NEW


def test_neither_is_said_with_the_packages_names(archive: set[Lock], tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="tool"):
        obtain(OLD, tmp_path, no_apt)

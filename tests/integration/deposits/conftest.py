"""A chain that is told what happens on it, and services that watch it."""

from __future__ import annotations

import pytest
from fakes import FakeChain, make_deps


@pytest.fixture
def chain():
    return FakeChain()


@pytest.fixture
def deps(database, chain):
    return make_deps(database, chain)

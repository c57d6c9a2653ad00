"""A platform with one host of eight simulated GPUs, and a wallet with an hour of credit."""

from __future__ import annotations

from typing import Any

import pytest
from session_kit import WALLET, Platform, make_platform


@pytest.fixture
def platform(database: Any) -> Platform:
    made = make_platform(database)
    made.add_host()
    made.credit(WALLET, 60)
    return made

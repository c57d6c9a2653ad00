"""What the tests of operator entries, assignments and the audit share."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

# The sessions' kit is used here, too: a platform with simulated hosts on a real database.
sys.path.append(str(Path(__file__).parents[1] / "sessions"))

from ledger_kit import Bank
from session_kit import WALLET, make_platform

from controller.adapters.sign_in import SiweVerifier


@pytest.fixture
def bank(database: Any) -> Any:
    """A platform with a host, and a wallet with an hour of credit."""
    made = make_platform(database)
    found = Bank(made.deps, made.clock, made.provisioner)
    found.add_host()
    found.credit(WALLET, 60)
    return found


class NoContracts:
    """A chain without contract wallets."""

    def accept(self, *_: object) -> bool:
        return False


@pytest.fixture
def signing_bank(bank: Bank) -> Bank:
    """A platform that checks signatures as the real one does."""
    verifier: Any = SiweVerifier(bank.clock, {})
    verifier._contracts = NoContracts()
    bank.deps = replace(bank.deps, sign_in=verifier)
    return bank

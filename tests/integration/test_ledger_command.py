"""`axonos ledger`: what it prints for people and for machines, and its exit status."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from fakes import ALICE, BOB, ETHER, FakeChain, make_deps, make_settings, payment
from sqlalchemy import text

from controller.cli import ledger as command
from controller.services import deposits

pytestmark = pytest.mark.integration


@pytest.fixture
def ask(database, database_url, monkeypatch):
    """Run the command against a database in which Alice has paid for an hour."""
    chain = FakeChain()
    chain.mine(6, [payment(amount=ETHER // 2_000)])
    deps = make_deps(database, chain, settings=make_settings(database_url))
    deposits.watch_once(deps)
    monkeypatch.setattr(command, "load_settings", lambda: deps.settings)
    monkeypatch.setattr(command, "connect", lambda: deps)
    return lambda *arguments: CliRunner().invoke(command.ledger, arguments)


def test_balance(ask):
    assert json.loads(ask("balance", ALICE.upper().replace("0X", "0x"), "--json").output) == {
        "gpu_ms": 3_600_000,
        "held_gpu_ms": 0,
        "available_gpu_ms": 3_600_000,
    }
    assert "available        60.0 minutes" in ask("balance", ALICE).output


def test_statement(ask):
    (line,) = json.loads(ask("statement", ALICE, "--json").output)["lines"]
    assert (line["kind"], line["gpu_ms"], line["why"]["tx_hash"]) == (
        "deposit",
        3_600_000,
        FakeChain.hash_of("tx"),
    )
    assert "deposit" in ask("statement", ALICE).output
    assert "Nothing has moved yet." in ask("statement", BOB).output


def test_audit_of_a_sound_and_of_a_damaged_journal(ask, database):
    found = ask("audit", "--offline", "--json")
    told = json.loads(found.stdout)
    assert (found.exit_code, told["ok"], told["problems"], told["transfers"]) == (0, True, [], 2)
    assert "0 findings" in ask("audit", "--offline", "--since", told["head"]).output
    rewritten = ask("audit", "--offline", "--since", "f" * 64)
    assert (rewritten.exit_code, "was rewritten" in rewritten.output) == (1, True)
    with database.begin() as db:
        db.execute(text("SET LOCAL session_replication_role = replica"))
        db.execute(text("UPDATE money_event SET credited_gpu_ms = credited_gpu_ms + 1"))
    found = ask("audit", "--offline")
    assert found.exit_code == 1
    assert FakeChain.hash_of("tx") in found.output


@pytest.mark.parametrize("wallet", ["alice", "0x12", ALICE + "0"])
def test_what_is_no_address_is_wrong_usage(ask, wallet):
    found = ask("balance", wallet)
    assert found.exit_code == 2
    assert "40 hexadecimal digits" in found.output


@pytest.mark.parametrize("arguments", [[], ["balance"], ["statement"], ["audit"]])
def test_each_has_help(ask, arguments):
    said = ask(*arguments, "--help").output
    assert "Usage" in said
    assert len(said) > 150

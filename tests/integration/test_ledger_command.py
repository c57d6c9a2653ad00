"""`axonos ledger`: what it prints for people and for machines, and its exit status."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from fakes import ALICE, BOB, ETHER, FakeChain, make_deps, make_settings, payment
from sqlalchemy import text

from controller.cli import ledger as command
from controller.cli import ledger_entries, ledger_suspense
from controller.services.deposits import of_wallet as deposits

pytestmark = pytest.mark.integration


@pytest.fixture
def ask(database, database_url, monkeypatch):
    """Run the command against a database in which Alice has paid for an hour."""
    chain = FakeChain()
    chain.mine(6, [payment(amount=ETHER // 2_000)])
    deps = make_deps(database, chain, settings=make_settings(database_url))
    deposits.watch_once(deps)
    monkeypatch.setattr(command, "load_settings", lambda: deps.settings)
    for module in (command, ledger_entries, ledger_suspense):
        monkeypatch.setattr(module, "connect", lambda: deps)
    return lambda *arguments, **more: CliRunner().invoke(command.ledger, arguments, **more)


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


@pytest.mark.parametrize("arguments", [[], *([name] for name in command.ledger.commands)])
def test_each_has_help(ask, arguments):
    said = ask(*arguments, "--help").output
    assert "Usage" in said
    assert len(said) > 100


@pytest.fixture
def enter(ask, monkeypatch):
    """Make entries as different system users."""

    def run(user: str, *arguments: str, **more: object):
        monkeypatch.setattr("controller.cli.ledger_entries.operator", lambda: user)
        return ask(*arguments, **more)

    return run


def test_nothing_changes_without_a_yes(enter):
    asked = ("credit", BOB, "12.5", "--reason", "a gift", "--request-id", "r1")
    shown = enter("olga", *asked, input="n\n")
    assert "12.5 minutes" in shown.output
    assert "afterwards 12.5" in shown.output
    assert shown.exit_code == 1
    told = json.loads(enter("olga", *asked, "--json").output)
    assert (told["done"], told["plan"]["state"], told["plan"]["balance_gpu_ms"]) == (False, "done", 0)
    assert json.loads(enter("olga", "balance", BOB, "--json").output)["gpu_ms"] == 0
    assert "r1 is done" in enter("olga", *asked, input="y\n").output
    told = json.loads(enter("olga", *asked, "--json", "--yes").output)
    assert (told["done"], told["request"]["actor"]) == (True, "olga")
    assert json.loads(enter("olga", "balance", BOB, "--json").output)["gpu_ms"] == 750_000


def test_a_large_entry_waits_for_another_operator(enter):
    asked = ("adjust", BOB, "700", "--reason", "a mistake of ours", "--request-id", "big", "--yes")
    assert "axonos ledger approve big" in enter("olga", *asked).output
    assert (
        json.loads(enter("olga", "requests", "--waiting", "--json").output)["requests"][0]["state"]
        == "waiting"
    )
    assert enter("olga", "approve", "big").exception.code == "entry_refused"
    assert "big is done" in enter("pavel", "approve", "big").output
    shown = enter("olga", "requests").output
    assert "pavel" in shown
    assert "Nothing waits." in enter("olga", "suspense").output
    assert "Nothing to look at." in enter("olga", "alerts").output
    assert "afterwards 690.0" in enter("olga", "adjust", BOB, "-10", "--reason", "x", input="n\n").output


@pytest.mark.parametrize("minutes", ["x", "0.00001", "1e99", "nan"])
def test_what_are_no_minutes_is_wrong_usage(enter, minutes):
    assert enter("olga", "credit", BOB, minutes, "--reason", "r", "--yes").exit_code == 2


def test_the_operator_is_the_user_who_logged_in(tmp_path, monkeypatch):
    from controller.cli import operator

    (tmp_path / "loginuid").write_text("0\n")
    assert operator._login_uid(tmp_path / "loginuid") == 0
    (tmp_path / "loginuid").write_text("4294967295")
    assert operator._login_uid(tmp_path / "loginuid") is None
    monkeypatch.setattr(operator, "_login_uid", lambda: None)
    monkeypatch.setattr(operator.os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "987654")
    assert operator.operator() == "uid 987654"
    monkeypatch.setattr(operator.os, "getuid", lambda: 987653)
    assert operator.operator() == "uid 987653"

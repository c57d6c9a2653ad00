"""The oracle finds what is wrong: faults planted in the tables, in the product's code, and in its locks."""

from __future__ import annotations

import ast
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import select

from controller.adapters.chain import Web3Chain
from controller.models import ChainCursor
from controller.services.deposits import events as deposits_events
from controller.services.deposits import settle as deposits_settle
from controller.services.deposits import watch as deposits_watch
from controller.services.ports import BlockMoney
from deposits.cases.table import CASES
from deposits.oracle.judge import judge
from deposits.play import play

pytestmark = pytest.mark.integration

ORACLE = Path(__file__).parent / "oracle"
SEEDS = 20


def test_the_oracle_imports_nothing_of_the_product():
    allowed = {"__future__", "collections", "dataclasses", "deposits", "fractions", "http", "json", "math"}
    allowed |= {"psycopg", "re", "typing", "urllib"}
    for path in ORACLE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in allowed, f"{path.name} imports {name}"
                assert not name.startswith("deposits.") or name.startswith("deposits.oracle"), path.name


COLUMNS = "key, kind, debit_id, credit_id, amount, at_ms, batch_id, evidence"
KEY = "key || ':2'"
CREDIT = "kind = 'deposit' AND credit_id IN (SELECT id FROM account WHERE code LIKE 'user:%%')"
TAMPERINGS = {
    "credited twice": (
        f"INSERT INTO transfer ({COLUMNS}) SELECT {COLUMNS.replace('key', KEY)} FROM transfer WHERE {CREDIT}",
        "doubled",
        "live credits",
    ),
    "a little more than it is worth": (
        f"UPDATE transfer SET amount = amount + 1 WHERE {CREDIT}",
        "doubled",
        "its worth is",
    ),
    "a little less than it is worth": (
        f"UPDATE transfer SET amount = amount - 1 WHERE {CREDIT}",
        "lost",
        "its worth is",
    ),
    "another wallet's": (
        "UPDATE account SET code = 'user:0x' || repeat('ab', 20) WHERE code LIKE 'user:%%'",
        "lost",
        "are due",
    ),
    "another payer": ("UPDATE money_event SET payer = '0x' || repeat('ab', 20)", "lost", "no event"),
    "an event that vanished": ("DELETE FROM money_event", "lost", "no event"),
    "a wei too much in the journal": (
        "UPDATE transfer SET amount = amount + 1 WHERE key LIKE '%%:asset'",
        "drift",
        "",
    ),
    "a wei too little in the journal": (
        "UPDATE transfer SET amount = amount - 1 WHERE key LIKE '%%:asset'",
        "drift",
        "",
    ),
    "never credited": ("UPDATE money_event SET state = 'confirming'", "lost", "is due and is"),
    "forgotten balance": (
        "UPDATE account SET credits = credits - 1 WHERE code LIKE 'user:%%'",
        "wrong",
        "its transfers",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_fault_in_the_tables_is_named(stage, name):
    case = CASES["direct/eth"]
    assert play(case, 0, stage).ok
    statement, kind, words = TAMPERINGS[name]
    stage.rows("WITH changed AS (" + statement + " RETURNING 1) SELECT count(*) FROM changed")
    verdict = judge(stage.terms(stage.settings(case.settings)))
    if kind == "drift":
        assert abs(verdict.drift_wei) == 1
    else:
        assert any(words in finding for finding in getattr(verdict, kind)), verdict.findings


def findings(stage, name: str) -> list[str]:
    """What is found in some interleavings of a case."""
    return [problem for seed in range(SEEDS) for problem in play(CASES[name], seed, stage).problems]


def test_a_cursor_that_skips_a_block_is_found(stage, monkeypatch):
    real = Web3Chain.read_on

    def skipping(self, before, to):
        for block, money in real(self, before, to):
            yield block, money if block.number % 2 else BlockMoney([])

    monkeypatch.setattr(Web3Chain, "read_on", skipping)
    result = play(CASES["two-halves-in-one-block/usdc"], 0, stage)
    other = play(CASES["three-times-in-a-row/usdc"], 0, stage)
    assert any("no event" in p for p in [*result.problems, *other.problems])


def test_a_credit_to_whoever_pastes_the_hash_is_found(stage, monkeypatch):
    real = deposits_events.user_account
    monkeypatch.setattr(deposits_events, "user_account", lambda _: real("0x" + "ab" * 20))
    assert any("are due" in p for p in play(CASES["direct/usdc"], 1, stage).problems)


def test_a_credit_before_its_confirmations_is_found(stage, monkeypatch):
    real = deposits_settle._due
    monkeypatch.setattr(
        deposits_settle, "_due", lambda deps, chain_id, head: real(deps, chain_id, _ahead(head))
    )
    monkeypatch.setattr(deposits_settle, "_confirmed", lambda *_: True)
    assert any("was credited" in p for p in play(CASES["five-of-six-confirmations/usdc"], 0, stage).problems)


def _ahead(head):
    return replace(head, number=head.number + 3)


def test_a_missing_lock_is_found_by_some_order(stage, monkeypatch):
    """Without the cursor's lock, and with a key of its own for each try, two actors credit one event."""
    numbers = itertools.count()
    monkeypatch.setattr(deposits_events, "key_of", _key_with(numbers, deposits_events.key_of))
    assert findings(stage, "direct/usdc") == []
    unlocked = _without_lock(deposits_events.locked_cursor)
    for module in (deposits_events, deposits_settle, deposits_watch):
        if hasattr(module, "locked_cursor"):
            monkeypatch.setattr(module, "locked_cursor", unlocked)
    assert any("GPU-ms are due" in p or "live credits" in p for p in findings(stage, "direct/usdc"))


def _key_with(numbers, real):
    return lambda event: f"{real(event)}:{next(numbers) + 2}"


def _without_lock(real):
    def unlocked(db, chain_id):
        return db.exec(select(ChainCursor).where(ChainCursor.chain_id == chain_id)).one_or_none()

    return unlocked

"""The statement on a real PostgreSQL: however it is read, it adds up to the balance to the GPU-millisecond."""

from __future__ import annotations

import pytest
from fakes import ALICE, BOB
from ledger_kit import MINUTE, Bank, entry
from session_kit import WALLET

from controller.errors import NotYours
from controller.services.money import ledger, statement
from controller.services.money import ledger_requests as requests
from controller.services.sessions import ends, expiry, presence

pytestmark = pytest.mark.integration


def test_pages_entries_and_export_add_up_to_the_balance(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "PAGE", 7)
    session = bank.claim()
    bank.work()
    presence.detach(bank.deps, WALLET, session)  # a desktop that nobody watches ends by itself
    for minute in range(23):
        bank.pass_time(MINUTE + minute)
        if minute == 11:
            requests.submit(bank.deps, entry("gift", wallet=WALLET, reason="=cmd()"), "olga")
    ends.end(bank.deps, WALLET, session)
    bank.work()
    balance, whole = bank.balance(), list(statement.export(bank.deps, WALLET))
    assert sum(line.gpu_ms for line in whole) == balance == whole[0].balance_after_gpu_ms
    assert len(whole) == 25
    read, before = [], None
    while True:
        page = statement.page(bank.deps, WALLET, before, 6)
        read += page.lines
        before = page.next
        if before is None:
            break
    assert read == whole
    entries = statement.entries(bank.deps, WALLET, None, 50)
    assert [(e.kind, e.lines) for e in entries] == [("use", 11), ("credit", 1), ("use", 12), ("grant", 1)]
    assert sum(e.gpu_ms for e in entries) == balance == entries[0].balance_after_gpu_ms
    assert statement.entries(bank.deps, WALLET, entries[1].id, 1) == [entries[2]]
    windows = statement.windows(bank.deps, WALLET, session, None, 100)
    assert sum(w.gpu_ms for w in windows) == sum(e.gpu_ms for e in entries if e.kind == "use")


def test_free_stretches_are_shown_and_cost_nothing(bank: Bank) -> None:
    session = bank.claim()
    bank.work()
    presence.detach(bank.deps, WALLET, session)
    bank.pass_time(70 * MINUTE)
    expiry.expire(bank.deps)
    ends.end(bank.deps, WALLET, session)
    bank.work()
    kinds = {w.kind: w for w in statement.windows(bank.deps, WALLET, session, None, 10)}
    assert set(kinds) == {"used", "grace"}
    assert (kinds["used"].gpu_ms, kinds["grace"].gpu_ms) == (-60 * MINUTE, 0)
    assert kinds["used"].to_ms == kinds["grace"].from_ms


def test_nobody_reads_another_wallets_lines(bank: Bank) -> None:
    session = bank.used_session(minutes=3)
    assert statement.page(bank.deps, BOB, None, 10).lines == []
    assert list(statement.export(bank.deps, ALICE)) == []
    with pytest.raises(NotYours):
        statement.windows(bank.deps, BOB, session, None, 10)
    assert ledger.statement(bank.deps, WALLET, 1)[0].why["session"] == session

"""The invariants job: once an hour by one worker, findings become alerts and go with their reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from ledger_kit import HOUR, Bank
from session_kit import WALLET
from sqlalchemy import text

from controller.services import alerts
from controller.services.money import invariants

pytestmark = pytest.mark.integration


def open_ones(bank: Bank) -> list[tuple[str, str]]:
    with bank.deps.database.begin() as db:
        return [(a.kind, a.why) for a in alerts.open_alerts(db)]


def last(bank: Bank) -> tuple[int, int | None]:
    with bank.deps.database.begin() as db:
        found = invariants.last_check(db)
    assert found is not None
    return found.at_ms, found.findings


def damage(bank: Bank, statement: str) -> None:
    with bank.deps.database.begin() as db:
        db.execute(text("SET LOCAL session_replication_role = replica"))
        db.execute(text(statement))


def test_one_worker_checks_each_hour(bank: Bank) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: invariants.check_due(bank.deps), range(8))) == 1
    bank.clock.advance(HOUR - 1)
    assert invariants.check_due(bank.deps) == 0
    bank.clock.advance(1)
    assert invariants.check_due(bank.deps) == 1
    assert last(bank) == (bank.clock.now_ms(), 0)
    assert open_ones(bank) == []


def test_a_finding_is_an_alert_until_its_reason_is_gone(bank: Bank) -> None:
    damage(bank, f"UPDATE account SET credits = credits + 1 WHERE code = 'user:{WALLET}'")
    assert invariants.check_due(bank.deps) == 1
    found = open_ones(bank)
    assert [kind for kind, _ in found] == ["journal"] * 2
    assert f"account user:{WALLET}" in found[0][1]
    bank.clock.advance(HOUR)
    invariants.check_due(bank.deps)
    assert open_ones(bank) == found
    damage(bank, f"UPDATE account SET credits = credits - 1 WHERE code = 'user:{WALLET}'")
    bank.clock.advance(HOUR)
    invariants.check_due(bank.deps)
    assert open_ones(bank) == []
    assert last(bank)[1] == 0


def test_old_rows_are_left_to_the_deep_audit_but_still_summed_up(bank: Bank) -> None:
    invariants.check_due(bank.deps)
    bank.clock.advance(48 * HOUR)
    bank.credit(WALLET, 1)
    invariants.check_due(bank.deps)
    bank.clock.advance(48 * HOUR)
    bank.credit(WALLET, 1)
    damage(bank, "UPDATE transfer SET evidence = '{\"a\": 1}' WHERE id = (SELECT min(id) FROM transfer)")
    invariants.check_due(bank.deps)
    assert last(bank)[1] == 0
    assert any("batch 1" in f.subject for f in bank.audited())
    damage(bank, "UPDATE transfer SET amount = amount + 1 WHERE id = (SELECT min(id) FROM transfer)")
    bank.clock.advance(HOUR)
    invariants.check_due(bank.deps)
    assert last(bank)[1] == 2


def test_a_check_that_takes_too_long_is_broken_off_and_says_so(bank: Bank, monkeypatch) -> None:
    slow = text("SELECT pg_sleep(5)")
    monkeypatch.setattr(invariants, "LONGEST_S", 1)
    monkeypatch.setattr("controller.services.money.audit._totals", lambda db: iter(db.execute(slow).all()))
    assert invariants.check_due(bank.deps) == 1
    assert last(bank)[1] is None
    assert [kind for kind, _ in open_ones(bank)] == ["journal"]

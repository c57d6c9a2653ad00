"""Deposits under races and crashes: whatever stops where, each event is credited exactly once."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress

import pytest
from fakes import ALICE, ETHER, FakeChain, make_deps, make_settings, payment
from sqlalchemy import event, text

from controller.adapters.database import PostgresDatabase
from controller.services import deposits, ledger

pytestmark = pytest.mark.integration

WORTH = 2_000 * 3_600_000
# Fewer blocks to read: fewer points of the same kind.
TWO_CONFIRMATIONS = make_settings(chain={"confirmations": 2})


class Crash(Exception):
    """The process stops here."""


def has(deps) -> int:
    with deps.database.begin() as db:
        return ledger.balance(db, ALICE).gpu_ms


def watch(deps) -> None:
    while deposits.watch_once(deps):
        pass


def test_fifty_parallel_hints_and_watchers_make_one_credit(database):
    chain = FakeChain()
    chain.mine(6, [payment()])
    deps = make_deps(database, chain)
    barrier, failures = threading.Barrier(50), []

    def run(number):
        barrier.wait()
        try:
            if number % 2:
                deposits.hint(deps, ALICE, FakeChain.hash_of("tx"))
            else:
                watch(deps)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    watch(deps)
    assert has(deps) == WORTH
    with database.begin() as db:
        assert db.execute(text("SELECT count(*) FROM transfer WHERE kind = 'deposit'")).scalar() == 1
    assert ledger.audit(deps) == []


class Crashing:
    """A database that stops the process before or after its n-th statement or commit."""

    def __init__(self, url: str) -> None:
        self.database = PostgresDatabase(url, pool_size=1)
        self.point: int | None = None
        self.passed = 0
        engine = self.database.engine
        for name in ("before_cursor_execute", "after_cursor_execute"):
            event.listen(engine, name, lambda *_: self.step())
        event.listen(engine, "commit", lambda *_: self.step())

    def step(self) -> None:
        self.passed += 1
        if self.passed == self.point:
            raise Crash


STORIES = {
    "a credit": lambda chain: chain.mine(2, [payment()]),
    "two halves that reach the minimum": lambda chain: (
        chain.mine(1, [payment(amount=ETHER // 4_000, tx="half")]),
        chain.mine(2, [payment(amount=ETHER - ETHER // 4_000)]),
    ),
}


@pytest.fixture
def crashing(database_url):
    made = Crashing(database_url)
    yield made
    made.database.engine.dispose()


def live(crashing: Crashing, chain: FakeChain, point: int | None) -> int:
    """Watch with a crash at one point; returns how many points there were."""
    crashing.point, crashing.passed = point, 0
    with suppress(Crash):
        watch(make_deps(crashing.database, chain, settings=TWO_CONFIRMATIONS))
    crashing.point = None
    return crashing.passed


def recovered(database: PostgresDatabase, chain: FakeChain, worth: int) -> None:
    deps = make_deps(database, chain, settings=TWO_CONFIRMATIONS)
    watch(deps)
    assert has(deps) == worth
    assert ledger.audit(deps) == []


def empty(database: PostgresDatabase) -> None:
    with database.begin() as db:
        db.execute(text("SET LOCAL session_replication_role = replica"))
        for table in (
            "transfer", "journal_batch", "account", "money_event_transition", "money_event", "chain_header",
            "chain_cursor", "wallet",
        ):  # fmt: skip
            db.execute(text(f"DELETE FROM {table}"))


@pytest.mark.parametrize("story", STORIES)
def test_a_crash_at_any_point_of_a_credit_loses_and_doubles_nothing(database, crashing, story):
    for point in itertools.count(1):
        chain = FakeChain()
        STORIES[story](chain)
        reached = live(crashing, chain, point)
        recovered(database, chain, WORTH)
        empty(database)
        if reached < point:
            break
    print(f"{story}: {reached} crash points")
    assert reached > 50


def test_a_crash_at_any_point_of_a_reversal_loses_and_doubles_nothing(database, crashing):
    for point in itertools.count(1):
        chain = FakeChain()
        chain.mine(2, [payment()])
        live(crashing, chain, None)
        chain.reorg(2)
        chain.mine(3)
        reached = live(crashing, chain, point)
        recovered(database, chain, 0)
        empty(database)
        if reached < point:
            break
    print(f"a reversal: {reached} crash points")
    assert reached > 50

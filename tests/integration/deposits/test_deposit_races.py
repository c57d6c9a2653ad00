"""Deposits under races and crashes: whatever stops where, each event is credited exactly once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
from fakes import ALICE, ETHER, FakeChain, make_deps, make_settings, payment
from sqlalchemy import event, text

from controller.adapters.database import PostgresDatabase
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from controller.services.money import ledger

pytestmark = pytest.mark.integration

WORTH = 2_000 * 3_600_000


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
    """A database that stops the process before its n-th statement or commit.

    After a statement is before the next one: what a transaction has done is undone either way.
    """

    def __init__(self, url: str) -> None:
        self.database = PostgresDatabase(url, pool_size=1)
        self.point: int | None = None
        self.passed = 0
        engine = self.database.engine
        event.listen(engine, "before_cursor_execute", lambda *_: self.step())
        event.listen(engine, "commit", lambda *_: self.step())

    def step(self) -> None:
        self.passed += 1
        if self.passed == self.point:
            raise Crash


def credit(chain: FakeChain) -> None:
    """A payment that needs no company."""
    chain.mine(2, [payment()])


def two_halves(chain: FakeChain) -> None:
    """Two that reach the minimum only together."""
    chain.mine(1, [payment(amount=ETHER // 4_000, tx="half")])
    chain.mine(2, [payment(amount=ETHER - ETHER // 4_000)])


def capped(chain: FakeChain) -> None:
    """One that waits until its block is final, and is final at once then."""
    chain.mine(3, [payment()])
    chain.finalized = 2


def dropped(chain: FakeChain) -> None:
    """One that was credited before the process came to its crash, and is gone since."""
    chain.reorg(2)
    chain.mine(3)


@dataclass(frozen=True)
class Story:
    """What happens on the chain, before and during the life that crashes, and what it is worth in the end."""

    during: Callable[[FakeChain], None]
    before: Callable[[FakeChain], None] | None = None
    worth: int = WORTH
    by_hint: bool = False
    cap_minutes: int | None = None


STORIES = {
    "a pasted hash": Story(credit, by_hint=True),
    "two halves that reach the minimum": Story(two_halves),
    "a credit above the provisional cap": Story(capped, cap_minutes=60),
    "a reversal": Story(dropped, before=credit, worth=0),
}


@pytest.fixture
def crashing(database_url):
    made = Crashing(database_url)
    yield made
    made.database.engine.dispose()


def live(deps: Deps, crashing: Crashing, story: Story, point: int | None) -> int:
    """One life, with a crash at one point; returns how many points it passed."""
    crashing.point, crashing.passed = point, 0
    with suppress(Crash):
        if story.by_hint:
            deposits.hint(deps, ALICE, FakeChain.hash_of("tx"))
        watch(deps)
    crashing.point = None
    return crashing.passed


def recovered(deps: Deps, story: Story, point: int) -> None:
    """The balance is right after every crash; every fourth time the whole journal is recomputed."""
    watch(deps)
    assert has(deps) == story.worth
    assert point % 4 or ledger.audit(deps) == []


def empty(database: PostgresDatabase) -> None:
    with database.begin() as db:
        db.execute(text("SET LOCAL session_replication_role = replica"))
        for table in (
            "transfer", "journal_batch", "account", "money_event_transition", "money_event", "chain_header",
            "chain_cursor", "wallet", "operator_alert",
        ):  # fmt: skip
            db.execute(text(f"DELETE FROM {table}"))


@pytest.mark.parametrize("name", STORIES)
def test_a_crash_at_any_point_loses_and_doubles_nothing(database, crashing, name):
    story = STORIES[name]
    # Few confirmations: fewer points of the same kind.
    settings = make_settings(chain={"confirmations": 2, "provisional_cap_minutes": story.cap_minutes})
    for point in itertools.count(1):
        chain = FakeChain()
        deps = make_deps(crashing.database, chain, settings=settings)
        if story.before:
            story.before(chain)
            watch(deps)
        story.during(chain)
        reached = live(deps, crashing, story, point)
        recovered(make_deps(database, chain, settings=settings), story, point)
        empty(database)
        if reached < point:
            break
    print(f"{name}: {reached} crash points")
    assert reached > 30

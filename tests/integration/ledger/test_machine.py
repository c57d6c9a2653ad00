"""Ledger and meter against a dict: any sequence of calls, repeated and out of order, comes to the same sums.

Ten seconds' worth by default; `AXONOS_TEST_LONG=1` tries for many minutes. After every step balances, holds,
bills and marks are those of the model, and the auditor finds nothing.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from fakes import ETHER, FakeChain, FakeClock, make_deps, payment
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_kit import Bank, entry
from ledger_model import MINUTE, Model
from session_kit import FakeProvisioner, FakeTickets
from sqlalchemy import text

from controller.errors import EntryRefused, NotEnoughCredit, RequestConflict, SessionAlreadyLive
from controller.services.deposits import of_wallet as deposits
from controller.services.money import ledger_requests as requests
from controller.services.money import metering
from controller.services.queue import claims
from controller.services.sessions import beats, ends, expiry, presence

pytestmark = pytest.mark.integration
LONG = "AXONOS_TEST_LONG" in os.environ
WALLETS = ["0x" + "ab" * 20, "0x" + "cd" * 20]
GPUS = {"small": 1, "medium": 2}
# Three minutes of one GPU at 2000 dollars an ETH and a dollar an hour: exact in wei.
THREE_MINUTES_WEI = ETHER // 40_000

wallets = st.sampled_from(WALLETS)
spans = st.one_of(st.integers(1, 5_000), st.integers(5_000, 15 * MINUTE), st.just(2 * 60 * MINUTE))


class LedgerAndMeter(RuleBasedStateMachine):
    """The real services on PostgreSQL beside `ledger_model.Model`."""

    database: Any = None

    def __init__(self) -> None:
        super().__init__()
        with self.database.begin() as db:
            db.execute(text("SET LOCAL session_replication_role = replica"))
            tables = db.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
            # Not TRUNCATE, which leaves a file for each table and index to be taken away later.
            db.execute(text("; ".join(f"DELETE FROM {t}" for t in tables if t != "alembic_version")))
        self.chain = FakeChain()
        deps = make_deps(self.database, self.chain)
        clock: Any = deps.clock
        assert isinstance(clock, FakeClock)
        object.__setattr__(deps, "tickets", FakeTickets())
        self.bank = Bank(deps, clock, FakeProvisioner(clock, start_ms=0))
        self.bank.add_host()
        self.model = Model(WALLETS)
        for wallet in WALLETS:  # a little, so that it runs out
            self.bank.credit(wallet, 5)
            self.model.balance[wallet] = 5 * MINUTE
        self.paid = 0

    # Money from the chain.

    @rule(wallet=wallets, threes=st.integers(20, 30))
    def pay(self, wallet: str, threes: int) -> None:
        self.paid += 1
        tx = f"tx{self.paid}"
        self.chain.mine(1, [payment(wallet, threes * THREE_MINUTES_WEI, tx=tx)])
        self.model.paid(tx, wallet, threes * 3 * MINUTE, self.chain.head().number)

    @rule(blocks=st.integers(1, 7))
    def mine(self, blocks: int) -> None:
        self.chain.mine(blocks)

    @rule(again=st.booleans())
    def watch(self, again: bool) -> None:
        for _ in range(1 + again):
            deposits.watch_once(self.bank.deps)
        self.model.watched(self.chain.head().number, self.bank.clock.now_ms())

    @rule(depth=st.integers(1, 9))
    def reorganise(self, depth: int) -> None:
        depth = min(depth, self.chain.head().number)
        self.chain.reorg(depth)
        self.model.dropped(self.chain.head().number)
        self.chain.mine(depth + 1)

    # Sessions.

    @rule(wallet=wallets, profile=st.sampled_from(sorted(GPUS)))
    def claim(self, wallet: str, profile: str) -> None:
        refusal = self.model.claim(wallet, GPUS[profile], self.bank.clock.now_ms())
        if refusal:
            with pytest.raises({"live": SessionAlreadyLive, "poor": NotEnoughCredit}[refusal]):
                claims.claim(self.bank.deps, wallet, profile)
            return
        self.model.sessions[-1]["id"] = claims.claim(self.bank.deps, wallet, profile).id

    @rule(wallet=wallets, profile=st.sampled_from(sorted(GPUS)))
    def launch(self, wallet: str, profile: str) -> None:
        self.claim(wallet, profile)
        self.work()

    @rule()
    def work(self) -> None:
        self.bank.work()
        for session in self.model.started(self.bank.clock.now_ms()):
            presence.detach(self.bank.deps, session["wallet"], session["id"])

    @rule(ms=spans, told=st.booleans())
    def pass_time(self, ms: int, told: bool) -> None:
        self.bank.clock.advance(ms)
        if told:
            self.report(0)

    @rule(late=st.sampled_from([0, 1, 30_000]))
    def report(self, late: int) -> None:
        """The guard speaks; a report that comes out of order is older than what is known."""
        at_ms = self.bank.clock.now_ms() - late
        self.bank.report(at_ms=at_ms)
        self.model.reported(at_ms)

    @rule(times=st.integers(1, 3))
    def tick(self, times: int) -> None:
        for _ in range(times):
            metering.tick(self.bank.deps)
        self.model.tick()

    @rule(times=st.integers(1, 2))
    def expire(self, times: int) -> None:
        for _ in range(times):
            expiry.expire(self.bank.deps)
            self.model.expire(self.bank.clock.now_ms())
        self.work()

    @precondition(lambda self: self.model.sessions)
    @rule(data=st.data(), times=st.integers(1, 2))
    def heartbeat(self, data: st.DataObject, times: int) -> None:
        session = data.draw(st.sampled_from(self.model.sessions))
        for _ in range(times):
            beats.heartbeat(self.bank.deps, session["wallet"], session["id"])
        self.model.heartbeat(session)

    @precondition(lambda self: self.model.sessions)
    @rule(data=st.data(), lost=st.booleans(), times=st.integers(1, 2))
    def end(self, data: st.DataObject, lost: bool, times: int) -> None:
        session = data.draw(st.sampled_from(self.model.sessions))
        self.work()
        if lost and session["state"] in ("running", "grace"):
            (slot,) = self.bank.rows("SELECT slot_id FROM gpu_session WHERE id = :i", i=session["id"])[0]
            self.bank.provisioner.containers.pop(slot)
            session["lost"] = True
        for _ in range(times):
            ends.end(self.bank.deps, session["wallet"], session["id"])
        self.model.end(session, self.bank.clock.now_ms())
        self.work()

    # Operators.

    @rule(
        wallet=wallets,
        name=st.integers(1, 6),
        kind=st.sampled_from(["credit", "adjust"]),
        minutes=st.integers(-9, 9),
    )
    def enter(self, wallet: str, name: int, kind: str, minutes: int) -> None:
        """Six request ids, so that most are asked for again, with the same words or others."""
        minutes = minutes or 1
        wanted = entry(f"r{name}", kind=kind, wallet=wallet, gpu_ms=minutes * MINUTE)
        if kind == "credit" and minutes < 0:
            return
        refusal = self.model.enter(f"r{name}", (kind, wallet, minutes))
        if refusal:
            with pytest.raises({"conflict": RequestConflict, "poor": NotEnoughCredit}[refusal]):
                requests.submit(self.bank.deps, wanted, "olga")
            return
        requests.submit(self.bank.deps, wanted, "olga")

    @rule(wallet=wallets, name=st.integers(1, 3))
    def ask_for_much(self, wallet: str, name: int) -> None:
        wanted = entry(f"much{name}", wallet=wallet, gpu_ms=700 * MINUTE)
        if self.model.asked.setdefault(f"much{name}", wallet) != wallet:
            with pytest.raises(RequestConflict):
                requests.submit(self.bank.deps, wanted, "olga")
            return
        requests.submit(self.bank.deps, wanted, "olga")

    @precondition(lambda self: self.model.asked)
    @rule(data=st.data(), actor=st.sampled_from(["olga", "pavel", "quentin"]))
    def approve(self, data: st.DataObject, actor: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.asked)))
        if name not in self.model.approved and actor == "olga":
            with pytest.raises(EntryRefused):
                requests.decide(self.bank.deps, name, actor)
            return
        requests.decide(self.bank.deps, name, actor)
        self.model.approve(name, 700 * MINUTE)

    # What must hold after each of them.

    @invariant()
    def the_same_sums(self) -> None:
        for wallet in WALLETS:
            assert self.bank.balance(wallet) == self.model.balance[wallet]
            assert self.bank.held(wallet) == self.model.held(wallet)
        rows = self.bank.rows("SELECT id, state, billed_to_ms FROM gpu_session")
        assert {(i, s, b) for i, s, b in rows} == {
            (s["id"], s["state"], s["billed_to"]) for s in self.model.sessions
        }
        bills = self.bank.rows(
            "SELECT session_id, sum((to_ms - from_ms) * gpus) FROM usage_window WHERE kind = 'used' GROUP BY 1"
        )
        assert {i: int(n) for i, n in bills} == {s["id"]: s["bill"] for s in self.model.sessions if s["bill"]}

    @invariant()
    def the_auditor_finds_nothing(self) -> None:
        assert self.bank.audited() == []

    def teardown(self) -> None:
        assert self.bank.problems() == []


def test_ledger_and_meter_do_what_a_dict_does(database: Any) -> None:
    LedgerAndMeter.database = database
    run_state_machine_as_test(
        LedgerAndMeter,
        settings=settings(
            max_examples=1_000 if LONG else 20,
            stateful_step_count=80 if LONG else 30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""A platform seen from its ledger: credit, sessions that were used, and a database that dies where told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from fakes import ALICE, BOB, ETHER, REVENUE, payment
from session_kit import MINUTE, WALLET, Platform
from sqlalchemy import event

from controller.auditor import run as audit
from controller.domain.assign_deposit import Assignment, words
from controller.domain.deposits import NOBODY
from controller.domain.operator_entries import Entry
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from controller.services.homes import storage_bills
from controller.services.money import assignments, ledger, suspense
from controller.services.money import ledger_requests as requests
from controller.services.pricing import quotes_offer
from controller.services.queue import claims
from controller.services.sessions import ends, expiry, presence

HOUR = 60 * MINUTE
PAYER, THIEF = Account.from_key("0x" + "a1" * 32), Account.from_key("0x" + "b2" * 32)
CAROL = "0x" + "cc" * 20


def entry(
    request_id: str, *, kind: str = "credit", wallet: str = ALICE, gpu_ms: int = MINUTE, **more: Any
) -> Entry:
    """An operator's entry; a minute for Alice unless told otherwise."""
    return Entry(request_id, kind, wallet, gpu_ms, **{"reason": "because", **more})


def signed(asked: Assignment, key: Any = PAYER, recipient: str = REVENUE, **domain: Any) -> str:
    """`AssignDeposit` signed by a plain wallet; `domain` changes what it is signed for."""
    said = words(asked, recipient)
    said["domain"] |= domain
    return "0x" + str(key.sign_message(encode_typed_data(full_message=said)).signature.hex())


@dataclass
class Bank(Platform):
    """The platform of the session tests, with what the ledger's tests ask of it."""

    def problems(self) -> list[str]:
        return ledger.audit(self.deps)

    def audited(self) -> list[Any]:
        """What the independent auditor finds in the database."""
        with self.deps.database.engine.connect() as db:
            return audit.read(db, lambda _check, _count: None).findings

    def claim(self, wallet: str = WALLET) -> str:
        self.credit(wallet, 0)
        return claims.claim(self.deps, wallet, "small").id

    def used_session(self, minutes: int) -> str:
        """A session that ran for so long and ended."""
        session = self.claim()
        self.work()
        self.pass_time(minutes * MINUTE)
        ends.end(self.deps, WALLET, session)
        self.work()
        return session


class Death(Exception):
    """The process is gone at this statement."""


@dataclass
class _Mortal:
    """A database whose process dies at its n-th statement or commit."""

    real: Any
    left: int
    done: int = 0

    @contextmanager
    def begin(self) -> Iterator[Any]:
        engine = self.real.engine

        def count(*_: Any) -> None:
            self.done += 1
            if self.done > self.left:
                raise Death

        event.listen(engine, "before_cursor_execute", count)
        event.listen(engine, "commit", count)
        try:
            with self.real.begin() as db:
                yield db
        finally:
            event.remove(engine, "before_cursor_execute", count)
            event.remove(engine, "commit", count)


def die_at_each_statement(bank: Bank, act: Callable[[Deps], Any]) -> int:
    """Do it again and again, each time dying one statement later, until it lives; how many it takes."""
    for alive in range(200):
        mortal = _Mortal(bank.deps.database, alive)
        before = fingerprint(bank)
        try:
            act(replace(bank.deps, database=mortal))
        except Death:
            assert fingerprint(bank) == before, (
                f"something was left behind by a death at statement {alive + 1}"
            )
            continue
        return alive
    raise AssertionError("it never came to its end")


def fingerprint(bank: Bank) -> list[Any]:
    """What the money tables hold."""
    tables = ("transfer", "journal_batch", "account", "ledger_request", "deposit_assignment", "money_event")
    return [bank.rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def watched(bank: Bank) -> None:
    """Let the watcher do all there is to do."""
    while deposits.watch_once(bank.deps):
        pass


def eventful(bank: Bank) -> None:
    """A little of everything that the tables of money can hold."""
    chain: Any = bank.deps.chain
    bank.credit(BOB, 0)
    quoted = quotes_offer.offer(bank.deps, BOB, "eth", "min", None)
    chain.mine(1, [payment(BOB, int(quoted.amount), tx="quoted")])
    paid = [payment(tx="one", amount=ETHER // 100), payment(BOB, tx="two", amount=ETHER // 200)]
    chain.mine(
        1, [*paid, payment(CAROL, tx="dust", amount=10**12), payment(NOBODY, tx="nobody", amount=10**15)]
    )
    chain.mine(8)
    chain.finalized = 3
    watched(bank)
    chain.mine(1, [payment(tx="gone", amount=ETHER // 50)])
    chain.mine(6)
    watched(bank)
    chain.reorg(7)
    chain.mine(8)
    watched(bank)
    session = bank.used_session(minutes=10)
    requests.submit(bank.deps, entry("gift", gpu_ms=5 * MINUTE), "olga")
    requests.submit(bank.deps, entry("less", kind="adjust", gpu_ms=-MINUTE), "olga")
    back = entry("back", kind="refund", wallet=WALLET, gpu_ms=MINUTE, session_id=session)
    requests.submit(bank.deps, back, "olga")
    for name in ("big", "bigger", "biggest"):
        requests.submit(bank.deps, entry(name, gpu_ms=20 * HOUR), "olga")
    requests.decide(bank.deps, "big", "pavel")
    requests.decide(bank.deps, "bigger", "pavel", refuse=True)
    payer = PAYER.address.lower()
    chain.mine(1, [payment(payer, ETHER // 2_000, tx="given")])
    chain.mine(6)
    chain.finalized = chain.head().number - 6
    watched(bank)
    asked = Assignment(84532, chain.hash_of("given"), "eth:0", ALICE, 3, bank.clock.now_ms() // 1000)
    assignments.assign(bank.deps, ALICE, asked, signed(asked))
    waiting = {event.tx_hash: event for event in suspense.waiting(bank.deps)}
    dust = waiting[chain.hash_of("dust")]
    given = entry("found", kind="assign", wallet=BOB, gpu_ms=MINUTE, event_id=dust.event_id, proof="a letter")
    requests.submit(bank.deps, given, "olga")
    second = bank.claim()
    bank.work()
    presence.detach(bank.deps, WALLET, second)
    bank.pass_time(100 * MINUTE)  # longer than the credit lasts: grace follows
    expiry.expire(bank.deps)
    bank.pass_time(5 * MINUTE)
    ends.end(bank.deps, WALLET, second)
    bank.work()
    for _ in range(3):  # the home lies there, on credit
        bank.report(homes={WALLET: 20 * 10**9 + 7})
        bank.clock.advance(HOUR)
    storage_bills.bill(bank.deps)
    bank.credit(WALLET, 30)
    bank.claim()
    bank.work()
    bank.pass_time(2 * MINUTE)

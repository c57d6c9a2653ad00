"""Operator entries on a real PostgreSQL: once per request id, two pairs of eyes, no half of anything."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fakes import ALICE, BOB, payment
from ledger_kit import CAROL, HOUR, MINUTE, die_at_each_statement, entry, watched
from session_kit import WALLET

from controller.errors import BadInput, EntryRefused, NotEnoughCredit, NotYours, RequestConflict
from controller.services.money import ledger, suspense
from controller.services.money import ledger_requests as requests

pytestmark = pytest.mark.integration


def test_a_credit_is_a_transfer_with_its_reason_and_maker(bank):
    planned = requests.plan(bank.deps, entry("r1", gpu_ms=5 * MINUTE), "olga")
    assert (planned.balance_gpu_ms, planned.balance_after_gpu_ms, planned.state) == (0, 5 * MINUTE, "done")
    assert bank.balance(ALICE) == 0
    done = requests.submit(bank.deps, entry("r1", gpu_ms=5 * MINUTE), "olga")
    assert (done.state, done.actor, done.approver) == ("done", "olga", None)
    (line,) = ledger.statement(bank.deps, ALICE, 5)
    assert (line.kind, line.gpu_ms) == ("credit", 5 * MINUTE)
    assert line.why == {"request": "r1", "reason": "because", "actor": "olga", "approver": None}
    assert bank.problems() == []


def test_a_request_id_has_one_effect_for_ever(bank):
    for actor in ("olga", "olga", "pavel"):
        assert requests.submit(bank.deps, entry("r1"), actor).actor == "olga"
    assert bank.balance(ALICE) == MINUTE
    planned = requests.plan(bank.deps, entry("r1"), "olga")
    assert planned.balance_after_gpu_ms == MINUTE
    for other in (entry("r1", gpu_ms=2), entry("r1", wallet=BOB), entry("r1", reason="another")):
        for ask in (requests.plan, requests.submit):
            with pytest.raises(RequestConflict):
                ask(bank.deps, other, "olga")
    assert bank.balance(ALICE) == MINUTE


def test_fifty_parallel_repeats_have_one_effect(bank):
    barrier = threading.Barrier(50)

    def ask(_: int) -> str:
        barrier.wait()
        return requests.submit(bank.deps, entry("r1"), "olga").state

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(ask, range(50))) == ["done"] * 50
    assert bank.balance(ALICE) == MINUTE
    assert bank.problems() == []


def test_above_the_limit_another_operator_must_approve(bank):
    big = entry("big", gpu_ms=11 * HOUR)
    assert requests.plan(bank.deps, big, "olga").state == "waiting"
    assert requests.submit(bank.deps, big, "olga").state == "waiting"
    assert bank.balance(ALICE) == 0
    with pytest.raises(EntryRefused, match="another operator must"):
        requests.decide(bank.deps, "big", "olga")
    done = requests.decide(bank.deps, "big", "pavel")
    assert (done.state, done.actor, done.approver) == ("done", "olga", "pavel")
    assert bank.balance(ALICE) == 11 * HOUR
    assert requests.decide(bank.deps, "big", "pavel") == done
    assert bank.balance(ALICE) == 11 * HOUR
    with pytest.raises(EntryRefused, match="done already"):
        requests.decide(bank.deps, "big", "pavel", refuse=True)
    assert bank.problems() == []


def test_a_large_entry_cannot_be_made_of_small_ones(bank):
    for number in range(10):
        assert requests.submit(bank.deps, entry(f"s{number}", gpu_ms=HOUR), "olga").state == "done"
    assert requests.submit(bank.deps, entry("s10", gpu_ms=1), "olga").state == "waiting"
    assert requests.submit(bank.deps, entry("taking", kind="adjust", gpu_ms=-1), "olga").state == "waiting"
    assert requests.submit(bank.deps, entry("p", gpu_ms=HOUR), "pavel").state == "done"
    bank.clock.advance(24 * HOUR)
    assert requests.submit(bank.deps, entry("s11", gpu_ms=HOUR), "olga").state == "done"


def test_fifty_parallel_approvals_post_once(bank):
    requests.submit(bank.deps, entry("big", gpu_ms=11 * HOUR), "olga")
    barrier = threading.Barrier(50)

    def approve(number: int) -> str:
        barrier.wait()
        return requests.decide(bank.deps, "big", f"operator-{number % 5}").state

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(approve, range(50))) == {"done"}
    assert bank.balance(ALICE) == 11 * HOUR


def test_small_entries_at_the_same_time_do_not_pass_the_limit_together(bank):
    barrier = threading.Barrier(16)

    def ask(number: int) -> str:
        barrier.wait()
        return requests.submit(bank.deps, entry(f"r{number}", gpu_ms=HOUR), "olga").state

    with ThreadPoolExecutor(16) as pool:
        states = list(pool.map(ask, range(16)))
    assert (states.count("done"), states.count("waiting")) == (10, 6)
    assert bank.balance(ALICE) == 10 * HOUR


def test_a_refused_entry_stays_refused(bank):
    requests.submit(bank.deps, entry("big", gpu_ms=11 * HOUR), "olga")
    assert requests.decide(bank.deps, "big", "olga", refuse=True).state == "refused"
    assert requests.decide(bank.deps, "big", "pavel", refuse=True).approver == "olga"
    with pytest.raises(EntryRefused, match="refused already"):
        requests.decide(bank.deps, "big", "pavel")
    assert requests.submit(bank.deps, entry("big", gpu_ms=11 * HOUR), "olga").state == "refused"
    assert bank.balance(ALICE) == 0
    with pytest.raises(NotYours):
        requests.decide(bank.deps, "unknown", "pavel")


def test_an_adjustment_takes_only_what_is_free(bank):
    requests.submit(bank.deps, entry("r1", gpu_ms=10), "olga")
    with pytest.raises(NotEnoughCredit):
        requests.submit(bank.deps, entry("r2", kind="adjust", gpu_ms=-11), "olga")
    bank.clock.advance(1)
    requests.submit(bank.deps, entry("r3", kind="adjust", gpu_ms=-10), "olga")
    assert bank.balance(ALICE) == 0
    assert [r.request_id for r in requests.requests(bank.deps)] == ["r3", "r1"]
    assert bank.problems() == []


def test_an_adjustment_leaves_a_held_claim_its_credit(bank):
    bank.claim()
    everything = entry("r", kind="adjust", wallet=WALLET, gpu_ms=-bank.balance(WALLET))
    with pytest.raises(NotEnoughCredit):
        requests.submit(bank.deps, everything, "olga")
    free = bank.balance(WALLET) - bank.held(WALLET)
    assert 0 < free < bank.balance(WALLET)
    requests.submit(bank.deps, replace(everything, gpu_ms=-free), "olga")
    assert bank.balance(WALLET) == bank.held(WALLET)


_BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"


def until_waiting_for_a_lock(database) -> None:
    """Until some statement waits for a row that another transaction holds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with database.engine.connect() as db:
            if db.exec_driver_sql(_BLOCKED).scalar_one():
                return
    raise AssertionError("nothing waits")


def test_an_adjustment_waits_for_a_claim_that_is_being_made(bank):
    """Whoever looks at what is free must see the hold of a claim that commits a moment later."""
    over = bank.used_session(1)
    has = bank.balance(WALLET)
    taking = entry("r", kind="adjust", wallet=WALLET, gpu_ms=-has)
    with ThreadPoolExecutor(1) as pool:
        with bank.deps.database.begin() as db:
            ledger.hold(db, WALLET, over, MINUTE, 1)
            asked = pool.submit(requests.submit, bank.deps, taking, "olga")
            until_waiting_for_a_lock(bank.deps.database)
        with pytest.raises(NotEnoughCredit):
            asked.result(10)
    assert bank.balance(WALLET) == has


def test_a_refund_gives_back_what_a_session_was_charged_and_no_more(bank):
    session = bank.used_session(minutes=10)
    back = entry("r1", kind="refund", wallet=WALLET, gpu_ms=6 * MINUTE, session_id=session)
    before = bank.balance(WALLET)
    requests.submit(bank.deps, back, "olga")
    assert bank.balance(WALLET) == before + 6 * MINUTE
    with pytest.raises(EntryRefused, match="no more than 240000"):
        requests.submit(bank.deps, replace(back, request_id="r2"), "olga")
    requests.submit(bank.deps, replace(back, request_id="r3", gpu_ms=4 * MINUTE), "olga")
    for stranger in (
        replace(back, request_id="r4", wallet=BOB),
        replace(back, request_id="r5", session_id="x"),
    ):
        with pytest.raises(EntryRefused, match="no such session"):
            requests.submit(bank.deps, stranger, "olga")
    assert bank.problems() == []


def test_what_makes_no_sense_is_refused(bank):
    wrong = [
        entry("r", reason=" "),
        entry("r", reason="x" * 501),
        entry("", gpu_ms=1),
        entry("r" * 65),
        entry("r", gpu_ms=0),
        entry("r", gpu_ms=-1),
        entry("r", kind="refund", gpu_ms=-1),
        entry("r", kind="adjust", gpu_ms=0),
    ]
    for one in wrong:
        for ask in (requests.plan, requests.submit):
            with pytest.raises(BadInput):
                ask(bank.deps, one, "olga")
    assert requests.requests(bank.deps) == []


def test_a_death_at_any_statement_leaves_all_or_nothing(bank):
    big = entry("big", gpu_ms=11 * HOUR)
    steps = die_at_each_statement(bank, lambda deps: requests.submit(deps, entry("r1"), "olga"))
    assert steps >= 8
    assert bank.balance(ALICE) == MINUTE
    requests.submit(bank.deps, big, "olga")
    assert die_at_each_statement(bank, lambda deps: requests.decide(deps, "big", "pavel")) >= 8
    assert bank.balance(ALICE) == MINUTE + 11 * HOUR
    assert bank.problems() == []


def an_orphan(bank) -> int:
    """A small deposit that waits for more, in a block that is final; its event."""
    chain = bank.deps.chain
    at = chain.mine(1, [payment(CAROL, tx="dust", amount=10**12)])
    chain.mine(6)
    chain.finalized = at.number - 1
    watched(bank)
    (event,) = suspense.waiting(bank.deps)
    return event.event_id


def test_suspense_is_assigned_once_when_its_block_is_final(bank):
    given = entry("found", kind="assign", wallet=BOB, gpu_ms=0, event_id=an_orphan(bank), proof="a letter")
    with pytest.raises(EntryRefused, match="not final"):
        requests.submit(bank.deps, given, "olga")
    bank.deps.chain.finalized += 1
    planned = requests.plan(bank.deps, given, "olga")
    assert (planned.gpu_ms, planned.detail["state"]) == (7_200, "below_min")  # 0.002 dollars
    barrier = threading.Barrier(50)

    def ask(_: int) -> str:
        barrier.wait()
        return requests.submit(bank.deps, given, "olga").state

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(ask, range(50))) == ["done"] * 50
    assert (bank.balance(BOB), bank.balance(CAROL)) == (7_200, 0)
    assert suspense.waiting(bank.deps) == []
    with pytest.raises(EntryRefused, match="only one that waits"):
        requests.submit(bank.deps, replace(given, request_id="again"), "olga")
    assert bank.problems() == []
    assert bank.audited() == []


def test_an_event_has_one_entry_at_a_time(bank):
    event = an_orphan(bank)
    bank.deps.chain.finalized += 1
    big = entry("big", kind="assign", wallet=BOB, gpu_ms=11 * HOUR, event_id=event, proof="a letter")
    assert requests.submit(bank.deps, big, "olga").state == "waiting"
    with pytest.raises(EntryRefused, match="Another entry is about this event: big"):
        requests.submit(bank.deps, replace(big, request_id="other"), "olga")
    requests.decide(bank.deps, "big", "olga", refuse=True)
    small = replace(big, request_id="small", gpu_ms=MINUTE)
    assert die_at_each_statement(bank, lambda deps: requests.submit(deps, small, "olga")) >= 10
    assert bank.balance(BOB) == MINUTE
    with pytest.raises(EntryRefused, match="no such money event"):
        requests.submit(bank.deps, replace(big, request_id="none", event_id=999), "olga")

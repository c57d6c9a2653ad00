"""`AssignDeposit` on a real PostgreSQL: one deposit, one signature, one effect, and never more than is left."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from fakes import ALICE, ETHER, payment
from ledger_kit import HOUR, MINUTE, PAYER, THIEF, Bank, die_at_each_statement, signed, watched

from controller.domain.assign_deposit import Assignment
from controller.errors import AssignmentRefused, BadInput, ChainUnavailable, NotYours, SignInRefused
from controller.services.money import assignments, ledger

pytestmark = pytest.mark.integration
WHO = PAYER.address.lower()


def paid(
    bank: Bank, tx: str = "one", *, final: bool = True, amount: int = ETHER // 2_000, **more: Any
) -> Assignment:
    """A credited deposit of an hour by the payer, and the words that give it to Alice."""
    chain: Any = bank.deps.chain
    at = chain.mine(1, [payment(more.pop("payer", WHO), amount, tx=tx, **more)])
    chain.mine(6)
    chain.finalized = at.number if final else 0
    watched(bank)
    deadline_s = bank.clock.now_ms() // 1000 + 60
    return Assignment(bank.deps.settings.chain.chain_id, chain.hash_of(tx), "eth:0", ALICE, 7, deadline_s)


def give(bank: Bank, asked: Assignment, signature: str | None = None, wallet: str = ALICE) -> Any:
    return assignments.assign(bank.deps, wallet, asked, signature or signed(asked))


def test_a_deposit_goes_to_whom_its_payer_names_once(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    assert bank.balance(WHO) == HOUR
    first = give(bank, asked)
    assert (first.payer, first.beneficiary, first.gpu_ms) == (WHO, ALICE, HOUR)
    assert (bank.balance(WHO), bank.balance(ALICE)) == (0, HOUR)
    bank.clock.advance(HOUR)  # its deadline is over by now, its answer is not
    assert give(bank, asked) == first
    assert give(bank, asked, wallet=WHO) == first
    assert bank.balance(ALICE) == HOUR
    (line,) = ledger.statement(bank.deps, ALICE, 5)
    assert (line.kind, line.why["tx_hash"], line.why["payer"]) == ("assign", asked.tx_hash, WHO)
    assert bank.problems() == []
    assert bank.audited() == []


def test_the_server_makes_the_words(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    said = assignments.words(
        bank.deps, asked.chain_id, asked.tx_hash.upper().replace("0X", ""), "eth:0", ALICE
    )
    told = said["message"]
    made = replace(asked, nonce=int(told["nonce"]), deadline_s=told["deadline"])
    signature = "0x" + PAYER.sign_message(encode_typed_data(full_message=said)).signature.hex()
    assert give(bank, made, signature).gpu_ms == HOUR
    with pytest.raises(AssignmentRefused, match="no such"):
        assignments.words(bank.deps, asked.chain_id, "0x" + "9" * 64, "eth:0", ALICE)


def test_fifty_parallel_repeats_have_one_effect(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    signature, barrier = signed(asked), threading.Barrier(50)

    def ask(_: int) -> int:
        barrier.wait()
        return int(give(bank, asked, signature).gpu_ms)

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {HOUR}
    assert (bank.balance(WHO), bank.balance(ALICE)) == (0, HOUR)
    assert bank.problems() == []


def test_a_death_at_any_statement_leaves_all_or_nothing(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    signature = signed(asked)
    act = lambda deps: assignments.assign(deps, ALICE, asked, signature)  # noqa: E731
    assert die_at_each_statement(bank, act) >= 10
    assert (bank.balance(WHO), bank.balance(ALICE)) == (0, HOUR)


def test_another_signature_moves_nothing(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    wrong = [
        signed(asked, THIEF),
        signed(asked, name="Other"),
        signed(asked, version="2"),
        signed(asked, chainId=1),
        signed(asked, recipient="0x" + "dd" * 20),
        signed(replace(asked, beneficiary=THIEF.address.lower())),
        signed(replace(asked, nonce=8)),
        signed(replace(asked, deadline_s=asked.deadline_s + 1)),
        signed(replace(asked, event_index="eth:1")),
        signed(replace(asked, tx_hash="0x" + "9" * 64)),
        signed(asked)[:-2],
        "0x",
        "not hex at all",
    ]
    for signature in wrong:
        with pytest.raises(SignInRefused):
            give(bank, asked, signature)
    assert (bank.balance(WHO), bank.balance(ALICE)) == (HOUR, 0)


def test_a_signature_cannot_be_used_twice_for_more(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    give(bank, asked)
    bob = replace(asked, beneficiary=THIEF.address.lower(), nonce=8)
    with pytest.raises(AssignmentRefused, match="another assignment"):
        give(bank, bob, wallet=WHO)
    second = replace(paid(bank, "two"), nonce=7)
    with pytest.raises(AssignmentRefused, match="another assignment"):
        give(bank, second)
    assert give(bank, replace(second, nonce=9)).gpu_ms == HOUR


def test_it_ends_with_its_deadline(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    bank.clock.advance(62_000)
    with pytest.raises(BadInput, match="deadline is over"):
        give(bank, asked)
    with pytest.raises(BadInput, match="30 days"):
        give(bank, replace(asked, deadline_s=asked.deadline_s + 40 * 86_400))


def test_what_makes_no_sense_is_refused(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"chain_id": 1}, "no payments on that chain"),
        ({"beneficiary": "0x" + "0" * 40}, "no wallet"),
        ({"beneficiary": "alice"}, "no wallet"),
        ({"beneficiary": "0x" + "ee" * 20}, "own addresses"),
        ({"event_index": "log:x"}, "event's index"),
        ({"nonce": -1}, "256 bits"),
        ({"nonce": 2**256}, "256 bits"),
        ({"tx_hash": "0x12"}, "transaction hash"),
    ]
    for change, said in wrong:
        with pytest.raises(BadInput, match=said):
            give(bank, replace(asked, **change), "0x00")


def test_only_payer_and_new_owner_may_ask(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    with pytest.raises(NotYours):
        give(bank, asked, wallet=THIEF.address.lower())
    with pytest.raises(AssignmentRefused, match="no such deposit"):
        give(bank, replace(asked, tx_hash="0x" + "9" * 64))
    with pytest.raises(BadInput, match="payer's already"):
        give(bank, replace(asked, beneficiary=WHO), wallet=WHO)


def test_a_deposit_that_may_still_be_dropped_does_not_move(signing_bank):
    bank = signing_bank
    asked = paid(bank, final=False)
    with pytest.raises(AssignmentRefused, match="final"):
        give(bank, asked)
    assert (bank.balance(WHO), bank.balance(ALICE)) == (HOUR, 0)


def test_a_spent_deposit_cannot_be_refilled_from_one_that_may_be_dropped(signing_bank):
    """Else: spend the final one, give the provisional one away under its name, have the second reversed."""
    bank = signing_bank
    asked = paid(bank)
    with bank.deps.database.begin() as db:
        spent = ledger.Posting("x", "adjust", f"user:{WHO}", "issued:adjustment", HOUR)
        ledger.post(db, at_ms=1, transfers=[spent])
    chain: Any = bank.deps.chain
    finalized = chain.finalized
    paid(bank, "two", final=False)
    chain.finalized = finalized
    assert bank.balance(WHO) == HOUR
    with pytest.raises(AssignmentRefused, match="Nothing is left"):
        give(bank, asked)


def test_only_what_is_unspent_and_free_moves(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    session = bank.claim(WHO)
    bank.work()
    bank.clock.advance(10 * MINUTE)
    asked = replace(asked, deadline_s=bank.clock.now_ms() // 1000)
    bank.report()  # ten minutes of use that the meter has not charged yet
    made = give(bank, asked)
    assert made.gpu_ms == HOUR - 10 * MINUTE - MINUTE
    assert bank.balance(WHO) == MINUTE
    assert session
    assert bank.problems() == []


def test_a_deposit_for_nobody_is_valued_at_its_block_without_a_tier(signing_bank):
    bank = signing_bank
    chain: Any = bank.deps.chain
    chain.holdings[WHO] = 10**30
    at = chain.mine(1, [payment(WHO, ETHER // 2_000, tx="odd")])
    chain.doubtful[at.hash] = ("eth",)
    chain.mine(6)
    chain.finalized = at.number
    watched(bank)
    asked = Assignment(84532, chain.hash_of("odd"), "eth:0", ALICE, 1, bank.clock.now_ms() // 1000 + 60)
    assert bank.balance(WHO) == 0
    assert give(bank, asked).gpu_ms == HOUR
    assert bank.problems() == []
    assert bank.audited() == []


def test_a_silent_chain_is_no_refusal(signing_bank):
    bank = signing_bank
    asked = paid(bank)
    signature = signed(asked)
    chain: Any = bank.deps.chain
    chain.down = True
    with pytest.raises(ChainUnavailable):
        give(bank, asked, signature)
    chain.down = False
    assert give(bank, asked, signature).gpu_ms == HOUR

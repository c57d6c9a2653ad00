"""Deposits from the chain to the balance, on a real database and a chain in memory."""

from __future__ import annotations

import pytest
from deposit_kit import HOUR, alerts_of, has, sound, state, tokens, watch
from fakes import ALICE, BOB, ETHER, USDC, FakeChain, make_deps, make_settings, payment
from sqlalchemy import text
from sqlmodel import select

from controller.errors import (
    BadInput,
    DepositNotFound,
    NothingForUs,
    PriceUnavailable,
    TransactionFailed,
)
from controller.models import MoneyEvent, MoneyEventTransition
from controller.services.deposits import of_wallet as deposits
from controller.services.money import ledger

pytestmark = pytest.mark.integration

MINIMUM = ETHER // 2_000  # 0.0005 ETH, a dollar at 2000 USD
TX = FakeChain.hash_of("tx")


def test_credited_without_a_click_at_the_sixth_confirmation(deps, chain):
    chain.mine(3)
    chain.mine(5, [payment(amount=MINIMUM)])
    watch(deps)
    assert (has(deps), state(deps)) == (0, "confirming")
    assert deposits.list_deposits(deps, ALICE)[0].message == "Pending: 5 of 6 confirmations."
    chain.mine()
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "credited")
    view = deposits.list_deposits(deps, ALICE)[0]
    assert (view.confirmations, view.required, view.credited_gpu_ms, view.yours) == (6, 6, HOUR, True)
    assert view.message == ("Credited: 60.0 minutes for 0.0005 ETH. Provisional until its block is final.")
    assert watch(deps) == 0
    sound(deps)


def test_the_evidence_of_a_credit_recomputes_it(deps, chain):
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(6, [payment(amount=MINIMUM)])
    watch(deps)
    assert has(deps) == 4_800_000
    (line,) = ledger.statement(deps, ALICE, 10)
    why = line.why
    assert (line.kind, why["payer"], why["amount"], why["discount_bps"]) == (
        "deposit",
        ALICE,
        str(MINIMUM),
        2_500,
    )
    assert why["block_hash"] == chain.blocks[1].hash == why["price"]["block_hash"]
    assert why["holding"] == {
        "axgt_balance": str(100_000 * ETHER),
        "axgt_contract": deps.settings.axgt.contract,
        "tier": 4,
        "block_number": 1,
        "block_hash": chain.blocks[1].hash,
    }
    sound(deps)


def test_a_holder_may_pay_the_smaller_minimum(deps, chain):
    chain.holdings[ALICE] = 100_000 * ETHER
    reduced = MINIMUM * 3 // 4
    chain.mine(6, [payment(amount=reduced), payment(BOB, reduced, tx="bob")])
    watch(deps)
    assert has(deps) == HOUR
    assert (has(deps, BOB), state(deps, "bob")) == (0, "below_min")
    sound(deps)


def test_price_and_tier_are_those_of_the_deposits_block(deps, chain):
    asked = []
    price, balance = chain.eth_usd, chain.axgt_balance
    chain.eth_usd = lambda block_hash: asked.append(block_hash) or price(block_hash)
    chain.axgt_balance = lambda wallet, block_hash=None: asked.append(block_hash) or balance(wallet)
    chain.mine(9, [payment()])
    watch(deps)
    assert set(asked) == {chain.blocks[1].hash}


def test_below_the_minimum_is_kept_and_accumulates(deps, chain):
    half = MINIMUM // 2
    chain.mine(6, [payment(amount=half)])
    watch(deps)
    assert (has(deps), state(deps)) == (0, "below_min")
    assert "below the minimum of 0.0005 ETH" in deposits.list_deposits(deps, ALICE)[0].message
    assert tokens(deps, "suspense:84532:eth") == half
    sound(deps)
    chain.mine(6, [payment(amount=half, tx="second")])
    watch(deps)
    assert has(deps) == HOUR
    assert {v.state for v in deposits.list_deposits(deps, ALICE)} == {"credited"}
    assert (tokens(deps, "suspense:84532:eth"), tokens(deps, "received:84532:eth")) == (0, MINIMUM)
    sound(deps)


def test_halves_of_two_wallets_do_not_add_up(deps, chain):
    chain.mine(6, [payment(amount=MINIMUM // 2), payment(BOB, MINIMUM // 2, tx="bob")])
    watch(deps)
    assert (has(deps), has(deps, BOB)) == (0, 0)


def test_several_payments_in_one_transaction_are_each_credited(deps, chain):
    chain.mine(6, [payment(position=f"log:{n}", payer=p) for n, p in enumerate([ALICE, ALICE, BOB])])
    watch(deps)
    assert (has(deps), has(deps, BOB)) == (2 * 2_000 * HOUR, 2_000 * HOUR)
    sound(deps)


def test_usdc_waits_in_suspense_while_its_rail_is_off(database, chain):
    deps = make_deps(database, chain, settings=make_settings(usdc={"enabled": False}))
    chain.mine(6, [payment(asset="usdc", amount=5_000_000, position="log:0")])
    watch(deps)
    assert (has(deps), state(deps)) == (0, "wrong_asset")
    assert tokens(deps, "suspense:84532:usdc") == 5_000_000
    assert "5 USDC on test chain, where it is not accepted" in deposits.list_deposits(deps, ALICE)[0].message
    sound(deps)


def test_usdc_brings_an_hour_a_dollar_and_no_discount(database, chain):
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(6, [payment(asset="usdc", amount=1_500_000, position="log:0")])
    chain.mine(6, [payment(BOB, 999_999, asset="usdc", position="log:0", tx="bob")])
    watch(deps)
    assert (has(deps), has(deps, BOB), state(deps, "bob")) == (HOUR * 3 // 2, 0, "below_min")
    sound(deps)


@pytest.mark.parametrize("payer", [USDC, "0x" + "0" * 40])
def test_money_of_nobody_waits_in_suspense(deps, chain, payer):
    chain.mine(6, [payment(payer)])
    watch(deps)
    assert (has(deps, payer), state(deps), tokens(deps, "suspense:84532:eth")) == (0, "unattributed", ETHER)
    sound(deps)


@pytest.mark.parametrize(
    "broken", [{"feed_age_s": 4_000}, {"eth_usd_answer": 0}, {"eth_usd_answer": 99 * 10**8}]
)
def test_without_a_trustworthy_price_at_its_block_a_deposit_waits_with_an_alert(deps, chain, broken):
    for name, value in broken.items():
        setattr(chain, name, value)
    chain.mine(6, [payment(amount=MINIMUM)])
    watch(deps)
    assert (has(deps), state(deps), tokens(deps, "suspense:84532:eth")) == (0, "price_pending", MINIMUM)
    (alert,) = alerts_of(deps)
    assert (alert.kind, alert.subject) == ("price-missing", f"{TX} eth:0")
    assert alert.why in deposits.list_deposits(deps, ALICE)[0].message
    sound(deps)


def test_a_price_that_a_node_could_not_read_for_a_while_is_that_of_the_block(deps, chain):
    price = chain.eth_usd

    def refusing(block_hash):
        raise PriceUnavailable

    chain.eth_usd = refusing
    chain.mine(6, [payment(amount=MINIMUM)])
    watch(deps)
    assert state(deps) == "price_pending"
    chain.eth_usd = price
    chain.mine(5)
    watch(deps)
    assert state(deps) == "price_pending"  # it is asked again a little later, not at every step
    deps.clock.advance(5_000)
    watch(deps)
    assert (has(deps), state(deps), tokens(deps, "suspense:84532:eth")) == (HOUR, "credited", 0)
    assert ledger.statement(deps, ALICE, 1)[0].why["price"]["block_number"] == 1
    assert alerts_of(deps) == []
    sound(deps)


def test_the_price_of_another_block_is_never_used(deps, chain):
    price, healthy_from = chain.eth_usd, 9

    def feed(block_hash):
        found = price(block_hash)
        number = next(b.number for b in chain.blocks if b.hash == block_hash)
        if number < healthy_from:
            return type(found)(found.feed, 1, 0, 8, 0, block_hash)
        return found

    chain.eth_usd = feed
    chain.mine(7, [payment(amount=MINIMUM)])
    watch(deps)
    chain.mine(20)
    deps.clock.advance(3_600_000)
    watch(deps)
    assert (has(deps), state(deps)) == (0, "price_pending")


def test_every_transition_is_a_row(deps, chain):
    chain.mine(6, [payment()])
    watch(deps)
    chain.reorg(6)
    chain.mine(7)
    watch(deps)
    with deps.database.begin() as db:
        rows = db.exec(select(MoneyEventTransition).order_by(MoneyEventTransition.id)).all()
    assert [(r.from_state, r.to_state) for r in rows] == [
        (None, "seen"),
        ("seen", "confirming"),
        ("confirming", "credited"),
        ("credited", "reversed"),
    ]


def test_a_pasted_hash_shows_pending_and_then_the_credit(deps, chain):
    chain.mine(1, [payment(amount=MINIMUM)])
    for expected in range(1, 6):
        view = deposits.hint(deps, ALICE, TX.upper().removeprefix("0X"))
        assert (view.state, view.confirmations, view.required) == ("confirming", expected, 6)
        assert view.message == f"Pending: {expected} of 6 confirmations."
        chain.mine()
    view = deposits.hint(deps, ALICE, TX)
    assert (view.state, view.credited_gpu_ms, view.yours) == ("credited", HOUR, True)
    assert deposits.hint(deps, ALICE, TX) == view
    assert has(deps) == HOUR


def test_whoever_pastes_the_hash_the_payer_is_credited(deps, chain):
    chain.mine(6, [payment()])
    view = deposits.hint(deps, BOB, TX)
    assert (view.yours, view.payer, view.state) == (False, ALICE, "credited")
    assert "belongs to 0xaaaa..aaaa" in view.message
    assert (has(deps), has(deps, BOB)) == (2_000 * HOUR, 0)


def test_of_several_payments_the_askers_own_is_shown(deps, chain):
    chain.mine(2, [payment(position="log:0"), payment(BOB, position="log:1")])
    assert deposits.hint(deps, BOB, TX).payer == BOB
    assert deposits.hint(deps, ALICE, TX).payer == ALICE


@pytest.mark.parametrize("text_", ["", "hello", "0x12", "0x" + "z" * 64])
def test_what_is_no_hash_is_refused(deps, text_):
    with pytest.raises(BadInput, match="not a transaction hash"):
        deposits.hint(deps, ALICE, text_)


def test_unknown_failed_waiting_and_foreign_transactions(deps, chain):
    with pytest.raises(DepositNotFound, match="test chain"):
        deposits.hint(deps, ALICE, TX)
    chain.waiting.add(TX)
    view = deposits.hint(deps, ALICE, TX)
    assert (view.state, view.confirmations, view.amount) == ("seen", 0, None)
    assert "0 of 6" in view.message
    chain.failed[TX] = chain.mine()
    with pytest.raises(TransactionFailed):
        deposits.hint(deps, ALICE, TX)
    paid_elsewhere = FakeChain.hash_of("elsewhere")
    facts = chain.transaction
    chain.transaction = lambda tx: (
        type(facts(TX))(tx, True, 1, chain.blocks[1].hash, True) if tx == paid_elsewhere else facts(tx)
    )
    with pytest.raises(NothingForUs, match="revenue wallet"):
        deposits.hint(deps, ALICE, paid_elsewhere)
    with deps.database.begin() as db:
        assert db.exec(select(MoneyEvent)).all() == []


def test_a_hint_while_the_watcher_is_far_behind_shows_pending_and_credits_in_order(deps, chain):
    watch(deps)
    chain.mine(200)
    chain.mine(6, [payment()])
    view = deposits.hint(deps, ALICE, TX)
    assert (view.state, view.confirmations) == ("seen", 1)
    watch(deps)
    assert deposits.hint(deps, ALICE, TX).state == "credited"
    sound(deps)


def test_a_hint_of_a_block_that_is_dropped_meanwhile(deps, chain):
    watch(deps)
    chain.mine(100)
    chain.mine(3, [payment()])
    assert deposits.hint(deps, ALICE, TX).state == "seen"
    chain.reorg(3)
    chain.mine(9)
    watch(deps)
    assert (has(deps), state(deps)) == (0, "orphaned")
    sound(deps)


def test_the_list_shows_the_wallets_own_newest_first(deps, chain):
    chain.mine(1, [payment(tx="one")])
    chain.mine(1, [payment(BOB, tx="bob")])
    chain.mine(9, [payment(tx="two")])
    watch(deps)
    shown = [v.tx_hash for v in deposits.list_deposits(deps, ALICE.upper().replace("0X", "0x"))]
    assert shown == [FakeChain.hash_of("two"), FakeChain.hash_of("one")]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("UPDATE money_event SET credited_gpu_ms = credited_gpu_ms + 1", "the journal says"),
        (f"UPDATE money_event SET payer = '{BOB}'", "the journal says"),
        ("UPDATE money_event SET transfer_key = NULL", "belongs to no live deposit"),
        ("UPDATE money_event SET state = 'reversed', transfer_key = NULL", "belongs to no live deposit"),
        ("UPDATE money_event SET amount = amount + 1", "its deposits sum to"),
        ("DELETE FROM money_event", "belongs to no live deposit"),
        (
            "UPDATE transfer SET evidence = evidence || '{\"discount_bps\": 9}'",
            "do not follow from its evidence",
        ),
        ("UPDATE transfer SET amount = amount + 1 WHERE kind = 'deposit'", "do not follow from its evidence"),
    ],
)
def test_the_auditor_finds_a_fault_planted_in_a_deposit(deps, chain, fault, said):
    chain.mine(6, [payment()])
    watch(deps)
    sound(deps)
    with deps.database.begin() as db:
        db.execute(text("SET LOCAL session_replication_role = replica"))
        db.execute(text(fault))
    found = ledger.audit(deps)
    assert any(said in problem for problem in found), found

"""Outages and reorganisations: nothing is lost, nothing is credited twice, a lie stops the watcher."""

from __future__ import annotations

import pytest
from deposit_kit import HOUR, alerts_of, cursor, has, sound, state, tokens, watch
from fakes import ALICE, BOB, ETHER, FakeChain, make_deps, make_settings, payment
from sqlalchemy import text
from sqlmodel import select

from controller.errors import (
    ChainUnavailable,
    NothingForUs,
)
from controller.models import MoneyEvent
from controller.services.deposits import of_wallet as deposits
from controller.services.deposits.settle import settle_final
from controller.services.deposits.watch import OTHER_CHAIN, PAST_FINAL, TOO_DEEP
from controller.services.money import ledger

pytestmark = pytest.mark.integration

MINIMUM = ETHER // 2_000  # 0.0005 ETH, a dollar at 2000 USD
TX = FakeChain.hash_of("tx")


def test_an_outage_loses_nothing_and_the_cursor_waits(deps, chain):
    chain.mine(2)
    watch(deps)
    before = cursor(deps)
    chain.down = True
    chain.mine(300, [payment()])
    with pytest.raises(ChainUnavailable):
        deposits.watch_once(deps)
    assert cursor(deps) == before
    chain.down = False
    watch(deps)
    assert cursor(deps).block_number == 302
    assert has(deps) == 2_000 * HOUR
    sound(deps)


def test_an_error_inside_a_block_leaves_the_cursor_before_it(deps, chain):
    chain.mine(4)
    paid, reading = chain.mine(4, [payment()]), chain.payments_in
    bad = {chain.blocks[5].hash, chain.blocks[6].hash}

    def flaky(block):
        if block.hash in bad:
            bad.discard(block.hash)
            raise ChainUnavailable
        return reading(block)

    chain.payments_in = flaky
    reached = []
    for _ in range(2):
        with pytest.raises(ChainUnavailable):
            deposits.watch_once(deps)
        reached.append(cursor(deps).block_number)
    assert reached == [4, 5]
    watch(deps)
    assert (cursor(deps).block_number, state(deps)) == (paid.number, "confirming")


def test_one_unreadable_deposit_does_not_hold_the_others_up(deps, chain):
    balance = chain.axgt_balance

    def picky(wallet, block_hash=None):
        if wallet == ALICE:
            raise ChainUnavailable
        return balance(wallet)

    chain.axgt_balance = picky
    chain.mine(6, [payment(), payment(BOB, tx="bob")])
    watch(deps)
    assert (has(deps), state(deps), has(deps, BOB)) == (0, "confirming", 2_000 * HOUR)
    chain.axgt_balance = balance
    watch(deps)
    assert has(deps) == 2_000 * HOUR


def test_a_reorganisation_before_the_credit(deps, chain):
    chain.mine(2)
    chain.mine(3, [payment()])
    watch(deps)
    chain.reorg(3)
    chain.mine(9)
    watch(deps)
    assert (has(deps), state(deps)) == (0, "orphaned")
    assert "dropped the block" in deposits.list_deposits(deps, ALICE)[0].message
    sound(deps)


def test_a_reorganisation_after_the_credit_is_reversed_by_contra_entries(deps, chain):
    chain.mine(2)
    chain.mine(6, [payment(amount=MINIMUM)])
    watch(deps)
    assert has(deps) == HOUR
    chain.reorg(6)
    chain.mine(8)
    watch(deps)
    assert (has(deps), state(deps)) == (0, "reversed")
    assert [n.gpu_ms for n in ledger.statement(deps, ALICE, 9)] == [-HOUR, HOUR]
    assert tokens(deps, "chain:84532:eth") == tokens(deps, "received:84532:eth") == 0
    sound(deps)


def test_a_reversal_may_leave_a_debt(deps, chain):
    chain.mine(6, [payment(amount=MINIMUM)])
    watch(deps)
    spent = ledger.Posting("fee", "fee", f"user:{ALICE}", "used:compute", HOUR - 1)
    with deps.database.begin() as db:
        ledger.post(db, at_ms=1, transfers=[spent])
    chain.reorg(6)
    chain.mine(9)
    watch(deps)
    assert has(deps) == 1 - HOUR
    sound(deps)


@pytest.mark.parametrize("confirmed", [3, 6])
def test_mined_again_in_another_block_it_has_one_live_credit(deps, chain, confirmed):
    chain.mine(2)
    chain.mine(confirmed, [payment(amount=MINIMUM)])
    watch(deps)
    chain.reorg(confirmed)
    chain.mine(4)
    chain.mine(6, [payment(amount=2 * MINIMUM)])
    watch(deps)
    assert (has(deps), state(deps)) == (2 * HOUR, "credited")
    (view,) = deposits.list_deposits(deps, ALICE)
    assert (view.amount, view.credited_gpu_ms) == (2 * MINIMUM, 2 * HOUR)
    assert tokens(deps, "received:84532:eth") == 2 * MINIMUM
    sound(deps)


def test_back_and_forth_between_two_branches_ends_with_one_credit(deps, chain):
    chain.mine(2)
    # A branch wins by being longer.
    for length in (7, 9, 11):
        chain.mine(length, [payment(amount=MINIMUM)])
        watch(deps)
        assert has(deps) == HOUR
        chain.reorg(length)
        chain.mine(length + 1)
        watch(deps)
        assert has(deps) == 0
        chain.reorg(length + 1)
    chain.mine(13, [payment(amount=MINIMUM)])
    watch(deps)
    assert has(deps) == HOUR
    sound(deps)


def test_a_reorganisation_while_the_watcher_was_away(deps, chain):
    chain.mine(50, [payment()])
    watch(deps)
    assert has(deps) > 0
    chain.reorg(50)
    chain.mine(80, [payment(BOB, tx="bob")])
    watch(make_deps(deps.database, chain))
    assert (has(deps), has(deps, BOB)) == (0, 2_000 * HOUR)
    sound(deps)


def test_a_suspended_payment_that_is_dropped_leaves_suspense(database, chain):
    deps = make_deps(database, chain, settings=make_settings(usdc={"enabled": False}))
    chain.mine(6, [payment(asset="usdc", amount=7, position="log:0")])
    watch(deps)
    chain.reorg(6)
    chain.mine(9)
    watch(deps)
    assert (state(deps), tokens(deps, "suspense:84532:usdc")) == ("orphaned", 0)
    sound(deps)


def test_a_node_that_lags_changes_nothing(deps, chain):
    chain.mine(9, [payment()])
    watch(deps)
    gone = [chain.blocks.pop() for _ in range(5)]
    assert deposits.watch_once(deps) == 0
    assert cursor(deps).block_number == 9
    chain.blocks.extend(reversed(gone))
    chain.mine()
    watch(deps)
    assert (cursor(deps).block_number, has(deps)) == (10, 2_000 * HOUR)


def test_another_genesis_stops_the_watcher_and_never_reverses(deps, chain):
    chain.mine(6, [payment()])
    watch(deps)
    other = FakeChain()
    other.blocks[0] = type(other.blocks[0])(0, FakeChain.hash_of("other"), "0x0", 1)
    other.mine(40)
    astray = make_deps(deps.database, other)
    assert deposits.watch_once(astray) == 0
    assert (cursor(deps).stopped_why, has(deps)) == (OTHER_CHAIN, 2_000 * HOUR)
    other.payments = {other.blocks[3].hash: [payment(BOB, tx="bob")]}
    with pytest.raises(ChainUnavailable):
        deposits.hint(astray, BOB, FakeChain.hash_of("bob"))
    chain.mine(6, [payment(BOB, tx="bob")])
    watch(deps)
    assert (cursor(deps).stopped_why, has(deps, BOB)) == (None, 2_000 * HOUR)
    sound(deps)


def test_a_wrong_chain_from_the_start_writes_nothing(database, chain):
    deps = make_deps(database, chain, settings=make_settings(chain={"genesis_hash": "0x" + "9" * 64}))
    chain.mine(9, [payment()])
    assert deposits.watch_once(deps) == 0
    with database.begin() as db:
        assert db.exec(select(MoneyEvent)).all() == []


def test_a_reorganisation_past_a_final_deposit_stops_the_watcher(deps, chain):
    chain.mine(3)
    chain.mine(9, [payment()])
    chain.finalized = 4
    watch(deps)
    assert state(deps) == "final"
    chain.reorg(9)
    chain.mine(12)
    assert deposits.watch_once(deps) == 0
    assert (cursor(deps).stopped_why, has(deps)) == (PAST_FINAL, 2_000 * HOUR)
    chain.mine(3, [payment(BOB, tx="bob")])
    assert deposits.watch_once(deps) == 0


def test_a_deposit_whose_block_left_the_chain_is_not_called_final_while_the_watcher_is_behind(deps, chain):
    chain.mine(3)
    chain.mine(9, [payment()])
    watch(deps)
    chain.reorg(9)
    chain.mine(12)
    chain.finalized = 4  # of the new branch, at the deposit's height
    assert settle_final(deps, deps.settings.chain.chain_id) == 0
    watch(deps)
    assert (cursor(deps).stopped_why, has(deps), state(deps)) == (None, 0, "reversed")
    sound(deps)


def test_a_reorganisation_of_256_blocks_is_followed(deps, chain):
    chain.mine(44)
    chain.mine(256, [payment()])
    watch(deps)
    chain.reorg(256)
    chain.mine(257)
    watch(deps)
    assert (cursor(deps).stopped_why, has(deps), state(deps)) == (None, 0, "reversed")
    sound(deps)


def test_a_deeper_reorganisation_stops_the_watcher_with_an_alert(deps, chain):
    chain.mine(43)
    chain.mine(257, [payment()])
    watch(deps)
    chain.reorg(257)
    chain.mine(258)
    assert deposits.watch_once(deps) == 0
    assert (cursor(deps).stopped_why, has(deps)) == (TOO_DEEP, 2_000 * HOUR)
    (alert,) = alerts_of(deps)
    assert (alert.kind, alert.subject, alert.why) == ("watcher-stopped", "84532", TOO_DEEP)


def test_headers_beyond_the_window_are_forgotten(deps, chain):
    chain.mine(300)
    watch(deps)
    with deps.database.begin() as db:
        assert db.execute(text("SELECT count(*), min(number) FROM chain_header")).one() == (257, 44)


def test_watching_begins_at_the_configured_block(database, chain):
    deps = make_deps(database, chain, settings=make_settings(chain={"start_block": 5}))
    chain.mine(4, [payment()])
    chain.mine(8, [payment(BOB, tx="bob")])
    watch(deps)
    assert (has(deps), has(deps, BOB)) == (0, 2_000 * HOUR)
    with pytest.raises(NothingForUs, match="before this platform"):
        deposits.hint(deps, ALICE, FakeChain.hash_of("tx"))

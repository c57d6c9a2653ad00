"""Deposits from the chain to the balance, on a real database and a chain in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import ALICE, BOB, ETHER, USDC, FakeChain, make_deps, make_settings, payment
from sqlalchemy import text
from sqlmodel import select

from controller.errors import (
    BadInput,
    ChainUnavailable,
    DepositNotFound,
    NothingForUs,
    PriceUnavailable,
    StateForgotten,
    TransactionFailed,
)
from controller.models import ChainCursor, MoneyEvent, MoneyEventTransition
from controller.services import alerts, deposits, ledger
from controller.services.deposits_watch import OTHER_CHAIN, PAST_FINAL, TOO_DEEP

pytestmark = pytest.mark.integration

HOUR = 3_600_000
MINIMUM = ETHER // 2_000  # 0.0005 ETH, a dollar at 2000 USD
TX = FakeChain.hash_of("tx")


@pytest.fixture
def chain():
    return FakeChain()


@pytest.fixture
def deps(database, chain):
    return make_deps(database, chain)


def watch(deps) -> int:
    """Watch until there is nothing more to do."""
    steps = 0
    while done := deposits.watch_once(deps):
        steps += done
        assert steps < 10_000
    return steps


def has(deps, wallet=ALICE) -> int:
    with deps.database.begin() as db:
        return ledger.balance(db, wallet).gpu_ms


def state(deps, tx="tx") -> str:
    with deps.database.begin() as db:
        events = db.exec(select(MoneyEvent).where(MoneyEvent.tx_hash == FakeChain.hash_of(tx))).all()
    (event,) = events
    return event.state


def tokens(deps, code: str) -> int:
    query = text("SELECT coalesce(sum(credits - debits), 0) FROM account WHERE code = :code")
    with deps.database.begin() as db:
        return int(db.execute(query, {"code": code}).scalar())


def alerts_of(deps) -> list[alerts.Alert]:
    with deps.database.begin() as db:
        return alerts.open_alerts(db)


def sound(deps) -> None:
    assert ledger.audit(deps) == []


def cursor(deps) -> ChainCursor:
    with deps.database.begin() as db:
        return db.get_one(ChainCursor, 84532)


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


class Forgetful(FakeChain):
    """Its nodes keep the state of the newest blocks only, until there is an archive."""

    keeps = 128
    archive = False

    def _forgot(self, block_hash: str) -> None:
        number = next(b.number for b in self.blocks if b.hash == block_hash)
        if not self.archive and number <= self.blocks[-1].number - self.keeps:
            raise StateForgotten

    def eth_usd(self, block_hash):
        self._forgot(block_hash)
        return super().eth_usd(block_hash)

    def axgt_balance(self, wallet, block_hash=None):
        self._forgot(block_hash or self.blocks[-1].hash)
        return super().axgt_balance(wallet, block_hash)


def test_state_that_the_nodes_dropped_brings_tier_0_and_a_top_up_once_it_can_be_read(database):
    chain = Forgetful()
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM)])
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "credited")
    why = ledger.statement(deps, ALICE, 1)[0].why
    assert (why["price"]["block_number"], why["price"]["read_from"]) == (1, "rounds")
    assert (why["discount_bps"], list(why["holding"])) == (0, ["unknown"])
    chain.archive = True
    watch(deps)
    assert has(deps) == HOUR  # a node without archive is not asked at every step
    deps.clock.advance(60_000)
    watch(deps)
    assert has(deps) == 4_800_000
    first, second = ledger.statement(deps, ALICE, 9)
    assert (first.kind, first.gpu_ms, first.why["holding"]["tier"]) == ("top-up", HOUR // 3, 4)
    assert (second.kind, second.gpu_ms) == ("deposit", HOUR)
    assert deposits.list_deposits(deps, ALICE)[0].credited_gpu_ms == 4_800_000
    assert watch(deps) == 0
    sound(deps)


def test_a_deposit_of_the_holders_minimum_whose_tier_is_unknown_waits_for_it(database):
    chain = Forgetful()
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM * 3 // 4)])
    watch(deps)
    assert (has(deps), state(deps)) == (0, "below_min")
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "credited")
    sound(deps)


def test_a_top_up_stays_below_the_cap_until_its_block_is_final(database):
    chain = Forgetful()
    deps = make_deps(database, chain, settings=make_settings(chain={"provisional_cap_minutes": 70}))
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM)])
    watch(deps)
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "credited")
    chain.finalized = 1
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (4_800_000, "final")
    sound(deps)


def test_halves_that_reach_the_holders_minimum_stay_below_the_cap_too(database):
    chain = Forgetful()
    deps = make_deps(database, chain, settings=make_settings(chain={"provisional_cap_minutes": 59}))
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM * 3 // 4)])
    watch(deps)
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (0, "below_min")
    chain.finalized = 1
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "final")
    sound(deps)


def test_a_top_up_counts_in_the_cap_of_the_next_deposit(database):
    chain = Forgetful()
    deps = make_deps(database, chain, settings=make_settings(chain={"provisional_cap_minutes": 130}))
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM)])
    watch(deps)
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert has(deps) == 4_800_000
    chain.holdings[ALICE] = 0
    chain.mine(6, [payment(amount=MINIMUM, tx="next")])
    watch(deps)
    assert (has(deps), state(deps, "next")) == (4_800_000, "confirming")  # 80 and 60 are above 130
    sound(deps)


class Flattering(Forgetful):
    """Its first node says of the holdings what nobody else does."""

    def agreeing(self):
        others = replace(self, holdings={})
        others.archive = self.archive
        return others


def test_the_tier_of_a_large_top_up_is_not_one_nodes_word(database):
    chain = Flattering()
    nodes = {"agreement_above_gpu_minutes": 60, "rpc_urls": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}
    deps = make_deps(database, chain, settings=make_settings(chain=nodes))
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=2 * MINIMUM)])
    watch(deps)
    assert has(deps) == 2 * HOUR
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert has(deps) == 2 * HOUR
    sound(deps)


def test_a_topped_up_deposit_that_is_dropped_is_taken_back_whole(database):
    chain = Forgetful()
    chain.keeps = 4
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(3)
    chain.mine(20, [payment(amount=MINIMUM)])
    watch(deps)
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert has(deps) == 4_800_000
    chain.reorg(20)
    chain.mine(30)
    watch(deps)
    assert (has(deps), state(deps)) == (0, "reversed")
    sound(deps)


def test_what_was_noted_when_first_seen_counts_after_the_state_is_dropped(database):
    chain = Forgetful()
    chain.keeps = 4
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(1, [payment(amount=MINIMUM)])
    watch(deps)
    chain.mine(20)
    watch(deps)
    assert (has(deps), state(deps)) == (4_800_000, "credited")
    why = ledger.statement(deps, ALICE, 1)[0].why
    assert (why["holding"]["tier"], why["price"]["read_from"]) == (4, "state")
    sound(deps)


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

"""Every rail and every bound: USDC and its peg, AXGT and its caps, chains side by side, capped provisional credit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deposit_kit import HOUR, MINIMUM, alerts_of, event_of, has, sound, state, tokens, usdc, watch
from fakes import ALICE, BOB, ETHER, POOL, REVENUE, FakeChain, make_deps, make_settings, payment

from controller.domain.deposits import NOBODY
from controller.errors import ChainUnavailable
from controller.models import Wallet
from controller.services.deposits import of_wallet as deposits
from controller.services.money import ledger
from controller.services.pricing import quotes_offer

pytestmark = pytest.mark.integration

AXGT_ON = {"enabled": True, "pool": POOL, "single_source": True}
OLD_WALLET = "0x" + "0d" * 20


def axgt(whole: int = 100, payer: str = ALICE, tx: str = "tx"):
    return payment(payer, whole * ETHER, asset="axgt", position="log:0", tx=tx)


@pytest.fixture
def with_axgt(database, chain):
    return lambda **more: make_deps(database, chain, settings=make_settings(axgt={**AXGT_ON, **more}))


# --- USDC ---


def test_usdc_that_lost_its_peg_waits_with_an_alert(database, chain):
    deps = make_deps(database, chain)
    chain.usdc_usd_answer = 97_999_999
    chain.mine(6, [usdc()])
    watch(deps)
    assert (has(deps), state(deps), tokens(deps, "suspense:84532:usdc")) == (0, "price_pending", 1_000_000)
    (alert,) = alerts_of(deps)
    assert (alert.kind, alert.why) == ("price-missing", "USDC is at 0.97999999 USD, below 0.98")
    sound(deps)


def test_usdc_at_its_peg_is_a_fixed_dollar_and_says_what_it_was_worth(database, chain):
    deps = make_deps(database, chain)
    chain.usdc_usd_answer = 98_000_000
    chain.mine(6, [usdc()])
    watch(deps)
    assert has(deps) == HOUR
    why = ledger.statement(deps, ALICE, 1)[0].why
    assert (why["fixed_usd"], why["usd_answer"], why["peg"]["answer"]) == ("1", "1", "98000000")
    sound(deps)


def test_a_stale_feed_is_no_proof_of_the_peg(database, chain):
    deps = make_deps(database, chain)
    chain.usdc_usd_answer, chain.feed_age_s = 10**8, 90_000
    chain.mine(6, [usdc()])
    watch(deps)
    assert state(deps) == "price_pending"


# --- AXGT ---


def test_axgt_is_worth_the_lesser_of_both_prices_and_a_bonus_without_a_tier(with_axgt, chain):
    deps = with_axgt()
    chain.holdings[ALICE] = 10**6 * ETHER
    chain.axgt_twap, chain.axgt_spot = 480_000, 500_000
    chain.mine(6, [axgt(100)])
    watch(deps)
    assert has(deps) == 100 * HOUR * 48 // 100 * 125 // 100
    why = ledger.statement(deps, ALICE, 1)[0].why
    assert (why["usd_answer"], why["bonus_bps"], why["discount_bps"]) == ("480000", 2_500, 0)
    assert (why["price"]["pool"], why["price"]["spot"], "holding" in why) == (POOL, "500000", False)
    sound(deps)


def test_axgt_below_its_minimum_is_kept(with_axgt, chain):
    deps = with_axgt()
    chain.mine(6, [axgt(60), axgt(40, tx="rest", payer=BOB)])
    watch(deps)
    assert (state(deps), state(deps, "rest")) == ("below_min", "below_min")
    message = deposits.list_deposits(deps, ALICE)[0].message
    assert "below the minimum of 100 AXGT; 40 AXGT more are missing" in message
    chain.mine(6, [axgt(40, tx="more")])
    watch(deps)
    assert has(deps) == 100 * HOUR // 2 * 125 // 100
    sound(deps)


@pytest.mark.parametrize(
    ("fault", "settings", "why"),
    [
        ({"axgt_liquidity_usd": 49_999}, {}, "the pool holds 49999 USD"),
        ({"axgt_twap": 0}, {}, "the pool has no price"),
        ({"axgt_twap": 2 * 10**9, "axgt_spot": 2 * 10**9}, {}, "outside"),
        ({}, {"single_source": False, "second_feed": POOL}, "no second price"),
        ({"axgt_second_answer": 52_700_000}, {}, "differ by more than 5 %"),
        ({"axgt_second_answer": 47_600_000}, {}, "differ by more than 5 %"),
        ({"axgt_second_answer": 50_000_000, "feed_age_s": 4_000}, {}, "4000 s old"),
    ],
)
def test_an_axgt_price_that_is_not_borne_out_waits_with_an_alert(with_axgt, chain, fault, settings, why):
    deps = with_axgt(**settings)
    for name, value in fault.items():
        setattr(chain, name, value)
    chain.mine(6, [axgt()])
    watch(deps)
    assert (has(deps), state(deps), tokens(deps, "suspense:84532:axgt")) == (0, "price_pending", 100 * ETHER)
    (alert,) = alerts_of(deps)
    assert why in alert.why
    assert why in deposits.list_deposits(deps, ALICE)[0].message
    sound(deps)


@pytest.mark.parametrize("answer", [52_631_578, 47_619_048])
def test_a_second_source_within_five_percent_is_enough(with_axgt, chain, answer):
    deps = with_axgt(single_source=False, second_feed=POOL)
    chain.axgt_second_answer = answer
    chain.mine(6, [axgt()])
    watch(deps)
    assert has(deps) == 100 * HOUR // 2 * 125 // 100
    assert ledger.statement(deps, ALICE, 1)[0].why["price"]["second"]["answer"] == str(answer)


def test_a_wallets_daily_cap_holds_the_next_deposit(with_axgt, chain):
    deps = with_axgt(daily_cap_gpu_minutes_wallet=4_000)
    chain.mine(6, [axgt(100), axgt(100, BOB, tx="bob")])
    watch(deps)
    assert (has(deps), has(deps, BOB)) == (100 * HOUR * 5 // 8, 100 * HOUR * 5 // 8)
    chain.mine(6, [axgt(100, tx="next")])
    watch(deps)
    assert (state(deps, "next"), has(deps)) == ("price_pending", 100 * HOUR * 5 // 8)
    (alert,) = alerts_of(deps)
    assert (alert.kind, "the 4000 minutes a day" in alert.why) == ("daily-cap", True)
    assert "by itself tomorrow" in deposits.list_deposits(deps, ALICE)[0].message
    sound(deps)


def test_what_lies_below_the_minimum_does_not_hold_up_a_deposit_under_the_cap(with_axgt, chain):
    deps = with_axgt(daily_cap_gpu_minutes_wallet=4_000)
    chain.mine(1, [axgt(50, tx="small")])
    chain.mine(6, [axgt(100)])
    watch(deps)
    assert (state(deps), state(deps, "small")) == ("credited", "below_min")
    assert has(deps) == 100 * HOUR * 5 // 8
    deps.clock.advance(86_400_000)
    chain.mine(6, [axgt(50, tx="another")])
    watch(deps)
    assert (state(deps, "small"), state(deps, "another")) == ("credited", "credited")
    sound(deps)


def test_a_daily_cap_that_allows_it_again_credits_by_itself(with_axgt, chain):
    deps = with_axgt(daily_cap_gpu_minutes_wallet=4_000)
    chain.mine(1, [axgt(100)])
    chain.mine(6, [axgt(100, tx="next")])
    watch(deps)
    assert (state(deps), state(deps, "next")) == ("credited", "price_pending")
    deps.clock.advance(86_400_000)
    watch(deps)
    assert (state(deps, "next"), has(deps), alerts_of(deps)) == ("credited", 200 * HOUR * 5 // 8, [])
    sound(deps)


def test_the_daily_cap_of_all_wallets_and_a_deposit_above_a_whole_day(with_axgt, chain):
    deps = with_axgt(daily_cap_gpu_minutes_wallet=5_000, daily_cap_gpu_minutes_total=5_000)
    chain.mine(1, [axgt(100)])
    chain.mine(1, [axgt(100, BOB, tx="bob")])
    chain.mine(6, [axgt(1_000, tx="large")])
    watch(deps)
    assert [state(deps, tx) for tx in ("tx", "bob", "large")] == [
        "credited",
        "price_pending",
        "price_pending",
    ]
    said = {alert.subject.split()[0]: alert.why for alert in alerts_of(deps)}
    assert "all wallets together" in said[FakeChain.hash_of("bob")]
    assert "the operator decides" in said[FakeChain.hash_of("large")]
    sound(deps)


def test_axgt_is_not_taken_while_its_rail_is_off(database, chain):
    deps = make_deps(database, chain)
    chain.mine(6, [axgt()])
    watch(deps)
    assert (state(deps), alerts_of(deps)) == ("wrong_asset", [])


# --- whose money ---


def test_a_former_revenue_wallet_is_still_ours(database, chain):
    settings = make_settings(chain={"former_revenue_wallets": [OLD_WALLET]})
    deps = make_deps(database, chain, settings=settings)
    late = replace(payment(amount=MINIMUM), recipient=OLD_WALLET)
    moved = replace(payment(OLD_WALLET, 5 * ETHER, tx="rotation"), recipient=REVENUE)
    itself = payment(REVENUE, ETHER, tx="to itself")
    chain.mine(6, [late, moved, itself])
    watch(deps)
    assert (has(deps), event_of(deps).recipient) == (HOUR, OLD_WALLET)
    assert (state(deps, "rotation"), state(deps, "to itself")) == ("own_move", "own_move")
    # Moving money from one pocket to the other receives nothing.
    assert tokens(deps, "chain:84532:eth") == -MINIMUM
    assert (has(deps, OLD_WALLET), has(deps, REVENUE)) == (0, 0)
    sound(deps)
    chain.reorg(6)
    chain.mine(8)
    watch(deps)
    assert (state(deps, "rotation"), tokens(deps, "chain:84532:eth")) == ("orphaned", 0)
    sound(deps)


def test_wei_that_nothing_explains_lie_in_suspense_with_an_alert(database, chain):
    deps = make_deps(database, chain)
    at = chain.mine(1, unexplained_wei=12_345)
    chain.mine(5)
    watch(deps)
    assert tokens(deps, "suspense:84532:eth") == 12_345
    (alert,) = alerts_of(deps)
    assert (alert.kind, alert.subject) == ("unexplained-wei", f"{at.hash} unexplained")
    assert has(deps, NOBODY) == 0
    sound(deps)
    chain.reorg(6)
    chain.mine(8)
    watch(deps)
    assert (tokens(deps, "suspense:84532:eth"), alerts_of(deps)) == (0, [])
    sound(deps)


def test_a_token_whose_own_books_do_not_show_it_is_nobodys(database, chain):
    deps = make_deps(database, chain)
    at = chain.mine(1, [usdc(9_000_000)])
    chain.doubtful[at.hash] = ("usdc",)
    chain.mine(5)
    watch(deps)
    assert (has(deps), state(deps), alerts_of(deps)[0].kind) == (0, "unattributed", "doubtful-token")
    sound(deps)


def test_halves_that_counted_together_part_when_one_is_dropped(database, chain):
    deps = make_deps(database, chain)
    chain.mine(1, [payment(amount=MINIMUM // 2, tx="first")])
    chain.mine(6, [payment(amount=MINIMUM // 2)])
    watch(deps)
    assert has(deps) == HOUR
    chain.reorg(6)
    chain.mine(8)
    watch(deps)
    assert (has(deps), state(deps), state(deps, "first")) == (0, "reversed", "below_min")
    assert (tokens(deps, "suspense:84532:eth"), tokens(deps, "received:84532:eth")) == (MINIMUM // 2, 0)
    sound(deps)
    chain.mine(6, [payment(amount=MINIMUM // 2)])
    watch(deps)
    assert (has(deps), state(deps), state(deps, "first")) == (HOUR, "credited", "credited")
    sound(deps)


def test_a_quoted_deposit_that_is_dropped_leaves_what_counted_with_it_below_the_minimum(database, chain):
    deps = make_deps(database, chain)
    with database.begin() as db:
        db.add(Wallet(address=ALICE, created_at_ms=0))
    chain.mine(1, [payment(amount=MINIMUM // 2, tx="half")])
    quote = quotes_offer.offer(deps, ALICE, "eth", "min", None)
    chain.mine(6, [payment(amount=int(quote.amount))])
    watch(deps)
    assert (state(deps), state(deps, "half")) == ("credited", "credited")
    assert event_of(deps).evidence["quote"]["id"] == quote.id
    chain.reorg(6)
    chain.mine(8)
    watch(deps)
    assert (state(deps), state(deps, "half"), has(deps)) == ("reversed", "below_min", 0)
    sound(deps)


def test_what_is_left_of_three_may_still_reach_the_minimum(database, chain):
    deps = make_deps(database, chain)
    chain.mine(1, [payment(amount=MINIMUM // 2, tx="first")])
    chain.mine(1, [payment(amount=MINIMUM // 2 - 1, tx="second")])
    chain.mine(6, [payment(amount=MINIMUM)])
    watch(deps)
    assert state(deps, "second") == "credited"
    chain.reorg(6)
    chain.mine(8)
    watch(deps)
    assert [state(deps, tx) for tx in ("first", "second", "tx")] == ["below_min", "below_min", "reversed"]
    sound(deps)


# --- reading on ---


def test_what_was_read_before_a_node_failed_is_kept_and_nothing_twice(database, chain):
    deps = make_deps(database, chain)
    chain.mine(200, [payment()])
    reading, left = chain.payments_in, [100]

    def failing(block):
        left[0] -= 1
        if not left[0]:
            chain.down = True
        return reading(block)

    chain.payments_in = failing
    with pytest.raises(ChainUnavailable):
        deposits.watch_once(deps)
    chain.down = False
    watch(deps)
    assert has(deps) == 2_000 * HOUR
    sound(deps)


def test_the_tier_is_the_least_of_the_days_before(database, chain):
    deps = make_deps(database, chain, settings=make_settings(pricing={"tier_lookback_days": [1, 7]}))
    bought_at = chain.mine(8 * 7_200).number  # eight days of 12 s
    balance = chain.axgt_balance

    def held(wallet, block_hash=None):
        number = next(b.number for b in reversed(chain.blocks) if b.hash == block_hash)
        return 100_000 * ETHER if number >= bought_at else balance(wallet)

    chain.axgt_balance = held
    chain.mine(6, [payment(amount=MINIMUM)])
    deposits.watch_once(deps, at_most=10**6)
    watch(deps)
    assert has(deps) == HOUR
    why = ledger.statement(deps, ALICE, 1)[0].why["holding"]
    assert [(s["days"], s["axgt_balance"]) for s in why["samples"]] == [
        (0, str(100_000 * ETHER)),
        (1, "0"),
        (7, "0"),
    ]
    at = {block.number: block for block in chain.blocks}
    first, day, week = (at[s["block_number"]].timestamp_s for s in why["samples"])
    assert (first - day, first - week) == (86_400, 7 * 86_400)

"""Binding quotes on real PostgreSQL: what they hold for, and that no order of steps makes a bet of them."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from fakes import ALICE, BOB, ETHER, FakeChain, make_deps, make_settings, payment
from quote_kit import HOUR, MINIMUM, Market, ask, event, made, pay, watch
from sqlmodel import select, text

from controller.adapters.database import PostgresDatabase
from controller.auditor import run as auditor
from controller.errors import (
    AmountRefused,
    BadInput,
    ChainUnavailable,
    NotYours,
    PriceUnavailable,
    RailNotOffered,
    TooManyQuotes,
)
from controller.models import MoneyEvent, Quote, Wallet
from controller.services.pricing import quotes, quotes_offer

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("usd", [1_000, 1_999, 2_000, 2_001, 4_000])
def test_a_quote_holds_whichever_way_the_price_moves(database, usd) -> None:
    deps, chain = made(database)
    quote = ask(deps)
    assert (quote.amount, quote.gpu_ms, quote.state) == (MINIMUM, HOUR, "open")
    chain.moves_to(usd)
    paid = pay(deps, chain, "tx")
    assert (paid.state, paid.credited_gpu_ms) == ("credited", HOUR)
    assert paid.evidence["quote"]["id"] == quote.id
    assert paid.evidence["price"]["block_hash"] == paid.evidence["quote"]["block_hash"]
    after = quotes_offer.read(deps, ALICE, quote.id)
    assert (after.state, after.tx_hash) == ("used", paid.tx_hash)


@pytest.mark.parametrize(
    ("amount", "wallet", "gpu_ms"),
    [(MINIMUM + 1, ALICE, 2 * HOUR), (2 * MINIMUM, ALICE, 4 * HOUR), (MINIMUM, BOB, 2 * HOUR)],
)
def test_another_amount_or_wallet_takes_its_blocks_price(database, amount, wallet, gpu_ms) -> None:
    deps, chain = made(database)
    quote = ask(deps)
    chain.moves_to(4_000)
    paid = pay(deps, chain, "tx", amount, wallet)
    assert paid.credited_gpu_ms == gpu_ms
    assert "quote" not in paid.evidence
    assert quotes_offer.read(deps, ALICE, quote.id).state == "open"


def test_mined_a_second_too_late_is_too_late(database) -> None:
    deps, chain = made(database)
    quote = ask(deps)
    chain.moves_to(4_000)
    chain.seconds_per_block = (quote.expires_at_ms - chain.blocks[-1].timestamp_s * 1000) // 1000 + 1
    assert pay(deps, chain, "late").credited_gpu_ms == 2 * HOUR
    deps.clock.advance(15 * 60_000)
    assert quotes_offer.read(deps, ALICE, quote.id).state == "expired"


def test_a_deposit_that_was_there_first_cannot_look_back_for_a_price(database) -> None:
    deps, chain = made(database)
    chain.mine(payments=[payment(ALICE, MINIMUM, tx="first")])
    watch(deps)
    chain.moves_to(4_000)
    chain.mine()
    assert ask(deps).gpu_ms == 2 * HOUR
    chain.mine(6)
    watch(deps)
    assert event(deps, "first").credited_gpu_ms == HOUR


def test_a_quote_is_for_one_deposit(database) -> None:
    deps, chain = made(database)
    ask(deps)
    chain.moves_to(1_000)
    assert [pay(deps, chain, tx).credited_gpu_ms for tx in ("one", "two")] == [HOUR, HOUR // 2]


def test_while_a_deposit_is_on_its_way_the_next_gets_its_own_quote(database) -> None:
    deps, chain = made(database)
    first = ask(deps)
    chain.mine(payments=[payment(ALICE, MINIMUM, tx="one")])
    watch(deps)
    chain.moves_to(4_000)
    chain.mine()
    second = ask(deps)
    assert (second.id != first.id, second.gpu_ms) == (True, 2 * HOUR)
    assert ask(deps).id == second.id
    chain.moves_to(1_000)
    chain.mine(payments=[payment(ALICE, MINIMUM, tx="two")])
    chain.mine(6)
    watch(deps)
    assert [event(deps, tx).credited_gpu_ms for tx in ("one", "two")] == [HOUR, 2 * HOUR]


@pytest.mark.parametrize(("blocks_later", "gpu_ms"), [(1, HOUR), (80, 2 * HOUR)])
def test_mined_again_it_keeps_its_quote_while_that_is_in_time(database, blocks_later, gpu_ms) -> None:
    deps, chain = made(database)
    ask(deps)
    chain.moves_to(4_000)
    assert pay(deps, chain, "tx").credited_gpu_ms == HOUR
    chain.reorg(7)
    chain.mine(8)
    watch(deps)
    assert event(deps, "tx").state == "reversed"
    chain.mine(blocks_later)
    assert pay(deps, chain, "tx").credited_gpu_ms == gpu_ms


def test_a_quote_needs_no_price_at_the_deposits_block(database) -> None:
    deps, chain = made(database)
    ask(deps)
    chain.feed_age_s = 10**6
    assert pay(deps, chain, "tx").credited_gpu_ms == HOUR
    assert pay(deps, chain, "other").state == "price_pending"


def test_the_holders_tier_is_in_the_quote(database) -> None:
    deps, chain = made(database)
    chain.holdings[ALICE] = 100_000 * ETHER
    quote = ask(deps)
    assert (quote.amount, quote.gpu_ms, quote.discount_bps) == (MINIMUM * 3 // 4, HOUR, 2_500)
    paid = pay(deps, chain, "tx", quote.amount)
    assert paid.credited_gpu_ms == HOUR
    assert paid.evidence["holding"]["tier"] == 4


def test_gpu_hours_bring_at_least_those_hours(database) -> None:
    deps, chain = made(database)
    chain.moves_to(3_719)
    chain.mine()
    for hours in (1, 10, 100):
        quote = ask(deps, hours=hours)
        assert hours * HOUR <= quote.gpu_ms < hours * HOUR * 1.00002 or quote.amount == MINIMUM
        assert pay(deps, chain, f"h{hours}", quote.amount).credited_gpu_ms == quote.gpu_ms


def test_asking_again_is_no_new_price(database) -> None:
    deps, chain = made(database)
    quote = ask(deps)
    chain.moves_to(4_000)
    chain.mine()
    assert [ask(deps), ask(deps, str(MINIMUM))] == [quote, quote]
    hours = ask(deps, hours=2)
    assert (hours.gpu_ms > 2 * HOUR, hours.amount - MINIMUM) == (True, 10**9)  # an amount of its own
    chain.moves_to(1_000)
    chain.mine()
    assert ask(deps, hours=2) == hours
    deps.clock.advance(14 * 60_000)
    chain.mine(70)
    assert ask(deps).expires_at_ms == quote.expires_at_ms
    assert ask(deps, hours=2).id != hours.id


def test_of_many_at_once_one_quote_is_made(database) -> None:
    deps, _ = made(database)
    with ThreadPoolExecutor(10) as pool:
        ids = {quote.id for quote in pool.map(lambda _: ask(deps), range(20))}
    assert len(ids) == 1
    with deps.database.begin() as db:
        assert len(db.exec(select(Quote)).all()) == 1


def test_a_quote_that_is_being_honoured_is_not_given_to_the_next_deposit(database, monkeypatch) -> None:
    deps, chain = made(database)
    quote = ask(deps)
    for tx in ("one", "two"):
        chain.mine(payments=[payment(ALICE, MINIMUM, tx=tx)])
    watch(deps)
    chain.mine()
    looking, settled, real = threading.Event(), threading.Event(), quotes_offer._spoken_for

    def late(*args: Any) -> Any:
        looking.set()
        assert settled.wait(10)
        return real(*args)

    monkeypatch.setattr(quotes_offer, "_spoken_for", late)
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as db:
            one = db.exec(select(MoneyEvent).where(MoneyEvent.tx_hash == FakeChain.hash_of("one"))).one()
            assert quotes.honour(db, one, chain.blocks[-1].timestamp_s) is not None
            one.state = "credited"
            asked = pool.submit(ask, deps)
            looking.wait(1)  # it must not get to look while the quote is being taken
        settled.set()
        assert asked.result().id != quote.id
    assert quotes_offer.read(deps, ALICE, quote.id).tx_hash == FakeChain.hash_of("one")


def test_open_quotes_are_few(database) -> None:
    deps, chain = made(database)
    asked = [ask(deps, str(MINIMUM + n)) for n in range(5)]
    with pytest.raises(TooManyQuotes) as refused:
        ask(deps, str(MINIMUM + 5))
    assert refused.value.detail["retry_after_s"] == 15 * 60
    assert ask(deps, str(MINIMUM)) == asked[0]
    assert ask(deps, wallet=BOB).state == "open"
    pay(deps, chain, "tx")
    assert ask(deps, str(MINIMUM + 5)).state == "open"
    deps.clock.advance(15 * 60_000)
    chain.mine(80)
    assert ask(deps, str(MINIMUM + 6)).state == "open"


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"rail": "doge"}, BadInput),
        ({"rail": "ETH"}, BadInput),
        ({"amount": "0.0005"}, BadInput),
        ({"amount": 5 * 10**14}, BadInput),
        ({"amount": None}, BadInput),
        ({"hours": "1"}, BadInput),
        ({"hours": True}, BadInput),
        ({"rail": "axgt"}, RailNotOffered),
        ({"amount": str(MINIMUM - 1)}, AmountRefused),
        ({"hours": 1_001}, AmountRefused),
        ({"amount": "9" * 78}, AmountRefused),
    ],
)
def test_what_is_not_quoted(database, asked, error) -> None:
    deps, _ = made(database)
    with pytest.raises(error):
        ask(deps, **asked)
    with deps.database.begin() as db:
        assert db.exec(select(Quote)).all() == []


def test_without_a_fresh_price_there_is_no_quote(database) -> None:
    deps, chain = made(database)
    chain.feed_age_s = 3_901
    with pytest.raises(PriceUnavailable):
        ask(deps)
    chain.feed_age_s = 0
    deps.clock.advance(301_000)  # the nodes stand still: their newest block is no longer today's
    with pytest.raises(PriceUnavailable, match="old"):
        ask(deps)
    chain.down = True
    with pytest.raises(ChainUnavailable):
        ask(deps)


def test_another_wallets_quote_is_not_there(database) -> None:
    deps, _ = made(database)
    quote = ask(deps)
    assert quotes_offer.read(deps, ALICE, quote.id) == quote
    for wallet, number in ((BOB, quote.id), (ALICE, "nothing")):
        with pytest.raises(NotYours):
            quotes_offer.read(deps, wallet, number)


def test_usdc_on_its_own_chain_and_axgt_with_its_bonus_below_its_cap(database) -> None:
    base = {"chain_id": 31337, "name": "base", "rpc_urls": ["http://127.0.0.1:1"], "revenue_wallet": BOB}
    sections = {
        "further_chains": [{**base, "genesis_hash": FakeChain.genesis_of("base")}],
        "usdc": {"chain_id": 31337},
        "axgt": {"enabled": True, "pool": BOB, "single_source": True},
    }
    home, other = Market(), FakeChain(name="base")
    deps = make_deps(database, home, settings=make_settings(**sections), further={31337: other})
    with database.begin() as db:
        db.add(Wallet(address=ALICE, created_at_ms=0))
    watch(deps)
    usdc, axgt = ask(deps, rail="usdc"), ask(deps, rail="axgt")
    assert (usdc.chain_id, usdc.gpu_ms, usdc.amount_text) == (31337, HOUR, "1 USDC")
    assert (axgt.chain_id, axgt.bonus_bps) == (84532, 2_500)
    assert axgt.gpu_ms == 100 * HOUR // 2 * 5 // 4  # 100 AXGT at half a dollar
    with pytest.raises(AmountRefused, match="at most 100 GPU-hours"):
        ask(deps, hours=101, rail="axgt")
    other.mine(
        payments=[replace(payment(ALICE, 10**6, asset="usdc", tx="u", position="log:0"), recipient=BOB)]
    )
    other.mine(6)
    home.mine(payments=[payment(ALICE, 10**6, asset="usdc", tx="not-here", position="log:0")])
    home.mine(6)
    watch(deps)
    assert event(deps, "u").evidence["quote"]["id"] == usdc.id
    assert event(deps, "not-here").state == "wrong_asset"


def found(database: PostgresDatabase) -> list[str]:
    """What the auditor has to say about quotes, and about anything at all."""
    with database.engine.connect() as db:
        return [f"{f.check}: {f.what}" for f in auditor.read(db, lambda *_: None).findings]


def test_the_auditor_follows_a_credit_to_its_quote(database) -> None:
    deps, chain = made(database)
    ask(deps)
    chain.moves_to(4_000)
    pay(deps, chain, "quoted")
    pay(deps, chain, "plain", MINIMUM + 5)
    chain.reorg(14)
    chain.mine(15)
    watch(deps)
    pay(deps, chain, "quoted")
    assert found(database) == []
    for change, said in (
        ("gpu_ms = gpu_ms + 1", "credit is"),
        ("amount = amount + 1", "amount is"),
        (f"wallet = '{BOB}'", "payer is"),
        ("event_id = NULL", "deposit is"),
        ("block_number = 10000", "before its quote"),
    ):
        with database.begin() as db:
            db.execute(text("SAVEPOINT before"))
            db.execute(text(f"UPDATE quote SET {change}"))
            told = [f.what for f in auditor.read(db.connection(), lambda *_: None).findings]
            db.execute(text("ROLLBACK TO before"))
        assert any(said in what for what in told), (change, told)
    with database.begin() as db:
        db.execute(text("DELETE FROM quote"))
    assert any("which is not there" in what for what in found(database))


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_steps_beats_the_prices_that_were_on_offer(database, seed) -> None:
    """Asking, waiting, paying, reorganising at random: a credit is its own block's price, or an earlier quote's."""
    deps, chain = made(database)
    dice, asked, told = random.Random(seed), [], {}
    for step in range(45):
        act = dice.choice(["ask", "pay", "wait", "wait", "jump", "reorg"])
        amount = MINIMUM + dice.randrange(2)
        if act == "ask":
            try:
                asked.append(ask(deps, str(amount)))
            except TooManyQuotes:
                act = "wait"
        if act == "pay":
            told[f"tx{step}"] = amount
            chain.mine(payments=[payment(ALICE, amount, tx=f"tx{step}")])
        elif act == "jump":
            chain.moves_to(dice.randrange(1_000, 4_000))
        elif act == "reorg" and len(chain.blocks) > 4:
            chain.reorg(dice.randrange(1, 4))
            chain.mine(4)
        chain.mine(dice.randrange(1, 12))
        deps.clock.ms = max(deps.clock.ms, chain.blocks[-1].timestamp_s * 1000)
        watch(deps)
    chain.mine(6)
    watch(deps)
    used, by_id = [], {quote.id: quote for quote in asked}
    with deps.database.begin() as db:
        rows = [e for e in db.exec(select(MoneyEvent)) if e.state == "credited"]
    assert rows
    for row in rows:
        at = chain.blocks[row.block_number]
        own = int(row.amount) * chain.prices[at.hash] * HOUR // 10**26
        if "quote" not in row.evidence:
            assert row.credited_gpu_ms == own
            continue
        quote = by_id[row.evidence["quote"]["id"]]
        used.append(quote.id)
        assert (quote.amount, quote.gpu_ms) == (int(row.amount), row.credited_gpu_ms)
        assert quote.created_at_ms - 15_000 < at.timestamp_s * 1000 <= quote.expires_at_ms
        assert row.evidence["quote"]["block_number"] < row.block_number
    assert len(used) == len(set(used))

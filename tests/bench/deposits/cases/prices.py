"""Prices and tiers: read at the deposit's block, or not at all. Source: payments.md 2.5."""

from __future__ import annotations

from collections.abc import Iterator

from deposits.cases.registry import MINIMUM, case
from deposits.chain import ETHER, address
from deposits.scene import Play
from infra.devchain.pool import pool_price

USD = 10**8
CENT = USD // 100


def feed(p: Play, name: str, function: str, *arguments: int | bool) -> None:
    """The feed's owner tells it something."""
    where = getattr(p.chain.deployment, name)
    kind = "UptimeFeed" if name == "sequencer_feed" else "PriceFeed"
    p.chain.call("faucet", where, kind, function, *arguments)


def pool(p: Play, usd_answer: int) -> None:
    """The pool's price from the next block on."""
    where = p.chain.deployment
    price = pool_price(where.axgt, where.usdc, usd_answer, 10**12)
    p.chain.call("faucet", where.axgt_pool, "PricePool", "setPrice", price.tick, price.sqrt_price_x96)


def hold(p: Play, holder: str, other: str, axgt: int) -> None:
    """AXGT changes hands."""
    p.chain.call(holder, p.chain.deployment.axgt, "Axgt", "transfer", address(other), axgt * ETHER)


@case(credited=1)
def price_jumps_after_the_deposit(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(1)
    yield "price"
    feed(p, "eth_usd_feed", "setAnswer", 40_000 * USD)
    yield from p.mine(6)


@case(credited=2)
def price_changes_between_two_deposits(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(1)
    yield "price"
    feed(p, "eth_usd_feed", "setAnswer", 1_234 * USD + 56_789)
    yield from p.mine(1)
    yield "pay"
    p.pay("alice/2", "alice", MINIMUM["eth"])
    yield from p.mine(6)


@case(waiting=1)
def feed_is_stale(p: Play, _: str) -> Iterator[str]:
    """It recovers after the deposit; its later price is not the deposit's."""
    yield "stale"
    feed(p, "eth_usd_feed", "setRound", 4_000 * USD, p.chain.time_s - 2 * 3_600, 0)
    yield from p.mine(1)
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(3)
    yield "fresh"
    feed(p, "eth_usd_feed", "setAnswer", 9_000 * USD)
    yield from p.mine(5)


@case(credited=1)
def feed_goes_stale_after_the_deposit(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(1)
    yield "stale"
    feed(p, "eth_usd_feed", "setRound", 4_000 * USD, p.chain.time_s - 9 * 3_600, 0)
    yield from p.mine(6)


@case(credited=1, waiting=1)
def one_with_a_price_and_one_without(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(1)
    yield "stale"
    feed(p, "eth_usd_feed", "setRound", 4_000 * USD, 1, 0)
    yield from p.mine(1)
    yield "pay"
    p.pay("carol/1", "carol", MINIMUM["eth"])
    yield from p.mine(6)


def _feed_says(name: str, answer: int, updated: int, answered_in: int) -> None:
    @case(waiting=1, name=name)
    def refused(p: Play, _: str) -> Iterator[str]:
        yield "feed"
        feed(p, "eth_usd_feed", "setRound", answer, updated, answered_in)
        yield from p.mine(1)
        yield "pay"
        p.pay("alice/1", "alice", MINIMUM["eth"])
        yield from p.mine(6)


_feed_says("feed_round_is_not_complete", 4_000 * USD, 0, 1)
_feed_says("feed_answers_below_zero", -4_000 * USD, 0, 0)
_feed_says("feed_answers_nonsense", 4_000_000 * USD, 0, 0)


@case(waiting=1, settings={"usdc": {"usd_feed": "usdc_usd_feed"}})
def usdc_lost_its_peg(p: Play, _: str) -> Iterator[str]:
    yield "depeg"
    feed(p, "usdc_usd_feed", "setAnswer", 97 * CENT)
    yield from p.mine(1)
    yield "pay"
    p.token("alice/1", "alice", "usdc", MINIMUM["usdc"])
    yield from p.mine(6)


@case(credited=1, settings={"usdc": {"usd_feed": "usdc_usd_feed"}})
def usdc_at_the_edge_of_its_peg(p: Play, _: str) -> Iterator[str]:
    yield "depeg"
    feed(p, "usdc_usd_feed", "setAnswer", 98 * CENT)
    yield from p.mine(1)
    yield "pay"
    p.token("alice/1", "alice", "usdc", MINIMUM["usdc"])
    yield from p.mine(6)


@case(waiting=1, settings={"chain": {"sequencer_feed": "sequencer_feed"}})
def sequencer_is_down(p: Play, _: str) -> Iterator[str]:
    yield "down"
    feed(p, "sequencer_feed", "setStatus", False)
    yield from p.mine(1)
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(6)


@case(credited=1)
def pool_is_pumped_for_a_block(p: Play, _: str) -> Iterator[str]:
    """The half-hour price does not follow, and the lower one counts."""
    yield "pump"
    pool(p, 50 * CENT)
    p.token("whale/1", "whale", "axgt", MINIMUM["axgt"])
    yield from p.mine(1)
    yield "back"
    pool(p, 5 * CENT)
    yield from p.mine(6)


@case(waiting=1)
def pool_is_dumped_for_a_block(p: Play, _: str) -> Iterator[str]:
    """The lower price counts, and the second source does not confirm it."""
    yield "dump"
    pool(p, 1 * CENT)
    p.token("whale/1", "whale", "axgt", MINIMUM["axgt"])
    yield from p.mine(6)


@case(waiting=1)
def second_source_disagrees(p: Play, _: str) -> Iterator[str]:
    yield "feed"
    feed(p, "axgt_usd_feed", "setAnswer", 6 * CENT)
    yield from p.mine(1)
    yield "pay"
    p.token("whale/1", "whale", "axgt", MINIMUM["axgt"])
    yield from p.mine(6)


@case(waiting=1)
def pool_is_too_young(p: Play, _: str) -> Iterator[str]:
    yield "forget"
    p.chain.call("faucet", p.chain.deployment.axgt_pool, "PricePool", "forget")
    yield from p.mine(1)
    yield "pay"
    p.token("whale/1", "whale", "axgt", MINIMUM["axgt"])
    yield from p.mine(6)


@case(waiting=1, settings={"axgt": {"liquidity_floor_usd": 2_000_000}})
def pool_is_too_shallow(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.token("whale/1", "whale", "axgt", MINIMUM["axgt"])
    yield from p.mine(6)


@case(credited=1)
def axgt_bought_after_the_deposit(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(1)
    yield "buy"
    hold(p, "whale", "alice", 100_000)
    yield from p.mine(6)


@case(credited=1)
def axgt_sold_after_the_deposit(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("bob/1", "bob", MINIMUM["eth"])
    yield from p.mine(1)
    yield "sell"
    hold(p, "bob", "carol", 1_000)
    yield from p.mine(6)


@case(credited=1)
def axgt_borrowed_for_a_moment(p: Play, _: str) -> Iterator[str]:
    """Held while the payment is made and given back in the same block: only the end of the block counts."""
    yield "borrow, pay, give back"
    hold(p, "whale", "alice", 100_000)
    p.chain.mine()
    p.pay("alice/1", "alice", MINIMUM["eth"])
    hold(p, "alice", "whale", 100_000)
    yield from p.mine(6)


@case(credited=2)
def tier_differs_after_a_reorganisation(p: Play, _: str) -> Iterator[str]:
    """Mined again before the AXGT came: the discount is that of the new block."""
    yield "hold"
    hold(p, "whale", "alice", 10_000)
    yield from p.mine(1)
    yield "pay"
    sent = p.pay("alice/1", "alice", 2 * MINIMUM["eth"])
    other = p.pay("bob/1", "bob", 2 * MINIMUM["eth"])
    yield from p.mine(6)
    yield from p.watched()
    yield "reorg"
    p.chain.reorg(7, [(sent, 2), (other, 3)])
    yield from p.mine(3)


@case(credited=1)
def a_holder_pays_the_lower_minimum(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("whale/1", "whale", MINIMUM["eth"] * 3 // 4)
    yield from p.mine(6)


@case(below=1)
def a_holder_one_wei_short(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("whale/1", "whale", MINIMUM["eth"] * 3 // 4 - 1)
    yield from p.mine(6)

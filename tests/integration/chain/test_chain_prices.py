"""Prices at a block's hash, from real contracts: feeds, the AXGT pool, the sequencer; and what must not count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chainkit import Chain, run_chain
from reader_kit import reading

from controller.domain import pool_price
from controller.errors import PriceUnavailable
from infra.devchain.deploy import AXGT_USD_ANSWER, ETH_USD_ANSWER, USDC_USD_ANSWER

pytestmark = pytest.mark.integration
CENT = 10**16  # of a price with 18 decimals
WITHIN = CENT // 10_000


@pytest.fixture
def anvil():
    with run_chain() as chain:
        yield chain


@pytest.fixture
def reader(anvil: Chain):
    with reading(anvil) as reader:
        yield reader


def test_each_feed_is_read_at_the_block_and_not_now(anvil, reader):
    anvil.increase_time(48 * 3600)
    then = reader.head()
    anvil.set_eth_usd(1)
    anvil.call(anvil.faucet, anvil.usdc_usd.functions.setAnswer(97000000))
    anvil.set_axgt_usd(9)
    eth, usdc, axgt = reader.eth_usd(then.hash), reader.usdc_usd(then.hash), reader.axgt_usd(then.hash)
    assert (eth.answer, eth.decimals, eth.updated_at_s) == (ETH_USD_ANSWER, 8, then.timestamp_s)
    assert (usdc.answer, axgt.second.answer) == (USDC_USD_ANSWER, AXGT_USD_ANSWER)
    now = reader.head()
    assert (reader.eth_usd(now.hash).answer, reader.usdc_usd(now.hash).answer) == (1, 97000000)
    assert {e.block_hash for e in (eth, usdc, axgt, axgt.second)} == {then.hash}


def test_the_pool_gives_both_prices_and_everything_to_recompute_them(anvil, reader):
    anvil.increase_time(48 * 3600)
    found = reader.axgt_usd(reader.head().hash)
    assert abs(found.spot - 5 * CENT) < WITHIN
    assert abs(found.twap - 5 * CENT) < 100 * WITHIN  # a tick is a hundredth of a per cent
    assert 999_990 <= found.liquidity_usd <= 1_000_000
    read = found.read
    side = pool_price.PoolSide(
        read["token_is_first"] == "True",
        *(
            int(read[n])
            for n in ("token_decimals", "quote_decimals", "quote_answer", "quote_answer_decimals")
        ),
    )
    tick = pool_price.mean_tick(
        int(read["tick_cumulative_then"]), int(read["tick_cumulative_now"]), found.twap_s
    )
    assert pool_price.usd_price(int(read["sqrt_price_x96"]), side) == found.spot
    assert pool_price.usd_price(pool_price.sqrt_price_at(tick), side) == found.twap
    depth = (int(read[n]) for n in ("sqrt_price_x96", "liquidity", "quote_held"))
    assert pool_price.depth_usd(*depth, side) == found.liquidity_usd


def test_a_price_that_was_pushed_moves_the_spot_at_once_and_the_mean_in_half_an_hour(anvil, reader):
    anvil.set_pool_usd(10 * AXGT_USD_ANSWER)
    pushed = reader.axgt_usd(reader.head().hash)
    assert pushed.spot > 49 * CENT
    assert pushed.twap < 6 * CENT
    anvil.increase_time(900)
    half = reader.axgt_usd(reader.head().hash)
    assert 15 * CENT < half.twap < 17 * CENT  # the geometric mean of 5 and 50 cents
    anvil.increase_time(900)
    assert abs(reader.axgt_usd(reader.head().hash).twap - 50 * CENT) < CENT // 10


def test_a_pool_that_cannot_say_gives_no_price(anvil, reader):
    anvil.call(anvil.faucet, anvil.pool.functions.forget())
    with pytest.raises(PriceUnavailable, match="pool gives no answer"):
        reader.axgt_usd(reader.head().hash)
    anvil.increase_time(1800)
    reader.axgt_usd(reader.head().hash)
    anvil.call(anvil.faucet, anvil.pool.functions.setLiquidity(0))
    assert reader.axgt_usd(reader.head().hash).liquidity_usd == 0
    for wrong in (
        {"pool": None},
        {"pool": anvil.deployment.forwarder},
        {"second_feed": anvil.deployment.forwarder},
        {"contract": anvil.deployment.multicall3},
    ):
        values = {"single_source": True, **wrong, **({"enabled": False} if not wrong.get("pool", 1) else {})}
        with reading(anvil, axgt=values) as astray, pytest.raises(PriceUnavailable):
            astray.axgt_usd(reader.head().hash)


def test_a_round_that_is_late_or_incomplete_is_told(anvil, reader):
    late = reader.head().timestamp_s - 7200
    anvil.call(anvil.faucet, anvil.eth_usd.functions.setRound(5, late, 0))
    assert reader.eth_usd(reader.head().hash).updated_at_s == late
    anvil.call(anvil.faucet, anvil.eth_usd.functions.setRound(5, 0, 1))
    with pytest.raises(PriceUnavailable, match="not complete"):
        reader.eth_usd(reader.head().hash)


def test_no_price_while_the_sequencer_is_down_nor_just_after(anvil):
    feed = anvil.deployment.sequencer_feed
    with reading(anvil, chain={"sequencer_feed": feed, "sequencer_grace_s": 600}) as reader:
        assert reader.eth_usd(reader.head().hash).answer == ETH_USD_ANSWER
        anvil.call(anvil.faucet, anvil.sequencer.functions.setStatus(False))
        anvil.increase_time(3600)
        down = reader.head()
        for price in (reader.eth_usd, reader.usdc_usd, reader.axgt_usd):
            with pytest.raises(PriceUnavailable, match="sequencer is down"):
                price(down.hash)
        anvil.call(anvil.faucet, anvil.sequencer.functions.setStatus(True))
        anvil.increase_time(590)
        with pytest.raises(PriceUnavailable, match="just come back"):
            reader.eth_usd(reader.head().hash)
        with pytest.raises(PriceUnavailable, match="just come back"):
            reader.round_at("eth", reader.head())
        anvil.increase_time(20)
        assert reader.eth_usd(reader.head().hash).answer == ETH_USD_ANSWER
        with pytest.raises(PriceUnavailable, match="sequencer is down"):
            reader.eth_usd(down.hash)


def test_a_block_whose_state_is_gone_has_the_round_that_was_current_then(anvil, reader):
    blocks = []
    for answer in range(100, 108):
        anvil.set_eth_usd(answer)
        anvil.increase_time(50)
        blocks.append(reader.head())
        anvil.increase_time(50)
    for place, block in enumerate(blocks):
        found = reader.round_at("eth", block)
        assert (found.answer, found.block_hash) == (100 + place, block.hash)
        assert block.timestamp_s - 60 <= found.updated_at_s < block.timestamp_s
    with pytest.raises(PriceUnavailable, match="no round"):
        reader.round_at("eth", replace(reader.block(0), timestamp_s=1))
    with reading(anvil, usdc={"usd_feed": None}) as plain:
        assert plain.usdc_usd(reader.head().hash) is None
        with pytest.raises(PriceUnavailable, match="no price feed"):
            plain.round_at("usdc", reader.head())


def test_a_pool_against_wrapped_eth_is_priced_by_the_eth_feed_if_that_can_be_trusted(anvil):
    """The pool's other token counts as ETH: five hundredths of one, with the 6 decimals of the mock."""
    with reading(anvil, axgt={"pool_quote": "eth"}) as reader:
        assert abs(reader.axgt_usd(reader.head().hash).spot - 4_000 * 5 * CENT) < 4_000 * WITHIN
        anvil.call(anvil.faucet, anvil.eth_usd.functions.setRound(4_000 * 10**8, 1, 0))
        with pytest.raises(PriceUnavailable, match="s old"):
            reader.axgt_usd(reader.head().hash)

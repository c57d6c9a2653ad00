"""Prices as one node shows them at a block, by its hash: Chainlink-style feeds, and the AXGT pool.

Whether a feed is fresh and sane is judged by the services; here only what the contracts themselves refuse,
and the sequencer's feed of an L2: while the sequencer is down or just back, no price can be trusted.
Sources: payments.md 2.5; Chainlink, *L2 sequencer uptime feeds*.
"""

from __future__ import annotations

from typing import Any

from controller.adapters import chain_words as words
from controller.adapters.chain_node import Call, Node, Refusal, Unknown
from controller.domain import pool_price
from controller.domain.pricing import Price, price_problem
from controller.errors import PriceUnavailable
from controller.services.ports import AxgtPriceEvidence, PriceEvidence
from controller.settings import Settings
from controller.settings_money import Chain

FEED = "price feed"
PHASE = 2**64


class PriceReader:
    """One node's prices at one block of a chain."""

    def __init__(self, node: Node, settings: Settings, chain: Chain, block_hash: str) -> None:
        """Args: the node; the settings, and which of its chains; the block's hash."""
        self._node, self._settings, self._chain = node, settings, chain
        self._hash = block_hash
        self._at: Any = {"blockHash": block_hash}

    def feed(self, address: str) -> PriceEvidence:
        """A feed's round.

        Raises:
            PriceUnavailable: no feed, an incomplete round, or a sequencer not to be trusted.
        """
        self._sequencer()
        latest, decimals = self._words(address, [(words.LATEST_ROUND_DATA, 5), (words.DECIMALS, 1)], FEED)
        return self._evidence(address, latest, decimals[0])

    def earlier(self, address: str | None, at_s: int) -> PriceEvidence:
        """The feed's round that was current at a time, among the rounds that it keeps today.

        Raises:
            PriceUnavailable: there is no feed, no such round, or the sequencer is not to be trusted.
        """
        if address is None:
            raise PriceUnavailable("There is no price feed.")
        self._at = "latest"
        self._sequencer(at_s)
        latest, decimals = self._words(address, [(words.LATEST_ROUND_DATA, 5), (words.DECIMALS, 1)], FEED)
        # A proxy's round is the aggregator's, with the aggregator's number above bit 64.
        phase, last = divmod(latest[0], PHASE)
        low, high = 0, last
        current: tuple[int, ...] | None = None
        while low < high:
            middle = (low + high + 1) // 2
            asked = words.ROUND_DATA + f"{phase * PHASE + middle:064x}"
            (found,) = self._words(address, [(asked, 5)], FEED)
            if found[3] <= at_s:
                low, current = middle, found
            else:
                high = middle - 1
        if current is None:
            raise PriceUnavailable("The price feed keeps no round of that time.")
        return self._evidence(address, current, decimals[0])

    def _evidence(self, address: str, found: tuple[int, ...], decimals: int) -> PriceEvidence:
        round_id, answer, _, updated_at, answered_in = found
        if answered_in < round_id:
            raise PriceUnavailable("The price feed's round is not complete.")
        return PriceEvidence(
            address.lower(), round_id, words.signed(answer), decimals, updated_at, self._hash
        )

    def axgt(self) -> AxgtPriceEvidence:
        """What the pool says of AXGT, and the second source where there is one.

        Raises:
            PriceUnavailable: no pool, no prices of that long in it, or a source that says nothing.
        """
        axgt = self._settings.axgt
        if axgt.pool is None:
            raise PriceUnavailable("No pool is configured for AXGT.")
        self._sequencer()
        quote, side = self._sides(axgt.pool)
        then_now = words.OBSERVE + "".join(f"{word:064x}" for word in (32, 2, axgt.twap_s, 0))
        slot, depth, observed = self._words(
            axgt.pool, [(words.SLOT0, 1), (words.LIQUIDITY, 1), (then_now, 5)], "AXGT pool"
        )
        ((held,),) = self._words(quote, [(words.BALANCE_OF + words.padded(axgt.pool), 1)], "AXGT pool")
        then, now = (words.signed(word) for word in observed[3:5])
        tick = pool_price.mean_tick(then, now, axgt.twap_s)
        return AxgtPriceEvidence(
            pool=axgt.pool.lower(),
            twap=_priced(pool_price.sqrt_price_at(tick), side),
            spot=_priced(slot[0], side),
            decimals=pool_price.DECIMALS,
            twap_s=axgt.twap_s,
            liquidity_usd=pool_price.depth_usd(slot[0], depth[0], held, side),
            second=self.feed(axgt.second_feed) if axgt.second_feed else None,
            block_hash=self._hash,
            read={
                "sqrt_price_x96": str(slot[0]),
                "tick_cumulative_then": str(then),
                "tick_cumulative_now": str(now),
                "liquidity": str(depth[0]),
                "quote": quote,
                "quote_held": str(held),
                **{name: str(value) for name, value in vars(side).items()},
            },
        )

    def _sides(self, pool: str) -> tuple[str, pool_price.PoolSide]:
        """The pool's other token, and how to read its price."""
        axgt = self._settings.axgt
        pair = self._words(pool, [(words.TOKEN0, 1), (words.TOKEN1, 1)], "AXGT pool")
        tokens = [f"0x{word[0]:040x}" for word in pair]
        if axgt.contract.lower() not in tokens:
            raise PriceUnavailable("The pool holds no AXGT.")
        first = tokens[0] == axgt.contract.lower()
        quote = tokens[1] if first else tokens[0]
        ((decimals,),) = self._words(quote, [(words.DECIMALS, 1)], "AXGT pool")
        if axgt.pool_quote == "usd":
            return quote, pool_price.PoolSide(first, axgt.decimals, decimals)
        eth = self._eth()
        return quote, pool_price.PoolSide(first, axgt.decimals, decimals, eth.answer, eth.decimals)

    def _eth(self) -> PriceEvidence:
        """The ETH price, judged here: the pool's price is made of it."""
        eth, found = self._settings.eth, self.feed(self._settings.eth.usd_feed)
        problem = price_problem(
            Price(found.answer, found.decimals),
            updated_at_s=found.updated_at_s,
            at_s=self._time(),
            max_age_s=eth.feed_heartbeat_s + eth.feed_grace_s,
            min_usd=eth.min_usd,
            max_usd=eth.max_usd,
        )
        if problem:
            raise PriceUnavailable(problem)
        return found

    def _sequencer(self, at_s: int | None = None) -> None:
        feed = self._chain.sequencer_feed
        if feed is None:
            return
        ((_, answer, since, *_),) = self._words(feed, [(words.LATEST_ROUND_DATA, 5)], "sequencer feed")
        if answer != 0 or since == 0:
            raise PriceUnavailable("The chain's sequencer is down.")
        if (self._time() if at_s is None else at_s) - since <= self._chain.sequencer_grace_s:
            raise PriceUnavailable("The chain's sequencer has only just come back.")

    def _time(self) -> int:
        found = self._node.ask("eth_getBlockByHash", self._hash, False)
        if found is None:
            raise Unknown
        return words.block_of(found).timestamp_s

    def _words(self, contract: str, asked: list[tuple[str, int]], what: str) -> list[tuple[int, ...]]:
        """The words of several calls' answers."""
        calls: list[Call] = [("eth_call", [{"to": contract, "data": data}, self._at]) for data, _ in asked]
        found = self._node.tried(calls)
        return [self._split(answer, count, what) for answer, (_, count) in zip(found, asked, strict=True)]

    @staticmethod
    def _split(answer: Any, count: int, what: str) -> tuple[int, ...]:
        if isinstance(answer, Refusal) and not answer.reverted:
            raise Unknown if answer.no_such_block else answer
        try:
            return words.split("0x" if isinstance(answer, Refusal) else answer, count)
        except ValueError as error:
            raise PriceUnavailable(f"The {what} gives no answer.") from error


def _priced(sqrt_price_x96: int, side: pool_price.PoolSide) -> int:
    try:
        return pool_price.usd_price(sqrt_price_x96, side)
    except ValueError as error:
        raise PriceUnavailable("The AXGT pool has no price.") from error

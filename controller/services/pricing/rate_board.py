"""Today's prices, holdings and head for people who look: read at most once in a few seconds, whoever asks.

What a deposit brings is settled at its own block, or by its quote; nothing here decides about money.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.pricing import Price
from controller.errors import ChainUnavailable, PaymentsHeld, PriceUnavailable, Unavailable
from controller.services.deps import Deps
from controller.services.freshness import Fresh
from controller.services.ports import Block
from controller.services.pricing import payment_addresses
from controller.services.pricing.holdings import DAY_S, Holding, Sample, block_at
from controller.services.pricing.prices import Asset, Trusted, price_of

PRICE_LIFE_MS = 3_000
HOLDING_LIFE_MS = 5_000
HOLDINGS_KEPT = 4_096
HEAD_LIFE_MS = 2_000
# Which block was days ago is the same for every wallet and hardly moves.
DAYS_AGO_LIFE_MS = 300_000
HEAD_AGE_S = 300
UNREAD = "The chain cannot be read right now. Nothing can be sent from here until it can."
NO_PRICE = "There is no trustworthy price right now, so nothing can be sent from here."

HELD = PaymentsHeld().message


@dataclass(frozen=True)
class SeenPrice:
    """A rail's price at the newest block; `updated_at_ms` is None for a fixed one; `why` says why none."""

    price: Price | None
    updated_at_ms: int | None
    why: str | None


class RateBoard:
    """One for each web process."""

    def __init__(self, deps: Deps) -> None:
        """Args: the ports that are asked."""
        self._deps = deps
        self._prices: Fresh[SeenPrice] = Fresh(deps.clock, PRICE_LIFE_MS)
        self._holdings: Fresh[Holding | None] = Fresh(deps.clock, HOLDING_LIFE_MS, most=HOLDINGS_KEPT)
        self._head: Fresh[int | None] = Fresh(deps.clock, HEAD_LIFE_MS)
        self._days_ago: Fresh[Block | None] = Fresh(deps.clock, DAYS_AGO_LIFE_MS)

    def price(self, rail: Asset) -> SeenPrice:
        """A rail's price, at most a few seconds old; never raises for a chain that is down."""
        return self._prices.get(rail, lambda: self._price(rail), SeenPrice(None, None, UNREAD))

    def held(self, wallet: str) -> Holding | None:
        """A wallet's AXGT, with look-back samples where they are on; None while it cannot be read."""
        return self._holdings.get(wallet, lambda: self._held(wallet), None)

    def head_number(self) -> int | None:
        """The home chain's newest block; None while it cannot be read."""
        return self._head.get("head", self._read_head, None)

    def _read_head(self) -> int | None:
        try:
            return self._deps.chain.head().number
        except Unavailable:
            return None

    def _price(self, rail: Asset) -> SeenPrice:
        if not payment_addresses.accepted(self._deps):
            return SeenPrice(None, None, HELD)
        try:
            at = believable_head(self._deps, rail)
            return SeenPrice((found := price_of(self._deps, rail, at)).price, _updated_ms(found, at), None)
        except PriceUnavailable:
            return SeenPrice(None, None, NO_PRICE)
        except Unavailable:
            return SeenPrice(None, None, UNREAD)

    def _held(self, wallet: str) -> Holding | None:
        try:
            head = self._deps.chain.head()
            now = Sample(0, self._deps.chain.axgt_balance(wallet, head.hash), head)
            days = self._deps.settings.pricing.tier_lookback_days
            return Holding((now, *(self._sample(wallet, day, head) for day in days)))
        except Unavailable:
            return None

    def _sample(self, wallet: str, days: int, head: Block) -> Sample:
        chain, then_s = self._deps.chain, head.timestamp_s - days * DAY_S
        block = self._days_ago.get(str(days), lambda: block_at(chain, then_s, head), None)
        if block is None:
            raise ChainUnavailable
        return Sample(days, chain.axgt_balance(wallet, block.hash), block)


def believable_head(deps: Deps, rail: Asset) -> Block:
    """The newest block of a rail's chain.

    Raises:
        PriceUnavailable: it is too old to take today's price from: the chain or its nodes stand still.
        ChainUnavailable: it cannot be read.
    """
    head = deps.chains[deps.settings.chain_of(rail).chain_id].head()
    age_s = deps.clock.now_ms() // 1000 - head.timestamp_s
    if age_s > HEAD_AGE_S:
        raise PriceUnavailable(f"The chain's newest block is {age_s} s old, so there is no price of today.")
    return head


def _updated_ms(found: Trusted, at: Block) -> int | None:
    if "fixed_usd" in found.evidence:
        return None
    told = found.evidence["price"]
    return int(told.get("updated_at_s", at.timestamp_s)) * 1000

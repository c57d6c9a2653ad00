"""The operator's terms as the oracle knows them: given by each case in plain numbers, never read from the product."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Ledgered:
    """One chain that is watched. Addresses are lower case; `first_block` is the first one that counts."""

    chain_id: int
    rpc_url: str
    revenue: tuple[str, ...]
    tokens: dict[str, str]  # contract -> asset
    first_block: int
    confirmations: int
    traced: bool = True
    sequencer: str | None = None
    sequencer_grace_s: int = 3_600
    cap_gpu_ms: int | None = None


@dataclass(frozen=True)
class Terms:
    """Prices, minima and tiers; amounts are in an asset's smallest unit, `age_s` in seconds."""

    chains: tuple[Ledgered, ...]
    conninfo: str
    enabled: frozenset[str]
    minimum: dict[str, int]
    eth_feed: str
    axgt: str
    eth_usd_between: tuple[int, int] = (100, 100_000)
    feed_age_s: int = 3_900
    usdc_feed: str | None = None
    usdc_age_s: int = 86_700
    usdc_depeg: Fraction = Fraction(98, 100)
    axgt_pool: str | None = None
    axgt_feed: str | None = None
    axgt_within: Fraction = Fraction(5, 100)
    axgt_floor_usd: int = 50_000
    usdc: str = ""
    bonus_bps: int = 2_500
    usd_per_hour: Fraction = Fraction(1)
    decimals: tuple[tuple[str, int], ...] = (("eth", 18), ("usdc", 6), ("axgt", 18))
    tiers: tuple[tuple[int, int], ...] = (
        (0, 0), (100, 500), (1_000, 1_000), (10_000, 1_500), (100_000, 2_500),
    )  # fmt: skip

    @property
    def home(self) -> Ledgered:
        """The chain of prices and tiers."""
        return self.chains[0]

    @property
    def own(self) -> frozenset[str]:
        """Addresses that can never be customers."""
        return frozenset(a for c in self.chains for a in (*c.revenue, *c.tokens))

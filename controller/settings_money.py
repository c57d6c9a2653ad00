"""The sections of the settings that are about money: chains, rails, prices, quotes and the ledger.

`controller.settings` is the door to this module; what several sections must agree on is checked there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

ADDRESS = r"^0x[0-9a-fA-F]{40}$"
Address = Annotated[str, StringConstraints(pattern=ADDRESS)]
S = TypeVar("S", bound="Section")


class Section(BaseModel):
    """A table of the TOML file: unknown names are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Chain(Section):
    """One chain that is watched; `wallet_rpc_url` is shown to wallets that lack the chain.

    `former_revenue_wallets` are watched for ever beside the current one. `provisional_cap_minutes` bounds
    what one wallet may have from deposits that are not final yet; `agreement_above_gpu_minutes` is the
    credit above which two nodes must say the same.
    """

    chain_id: int = Field(gt=0)
    name: str
    rpc_urls: list[str] = Field(min_length=1)
    genesis_hash: str = Field(pattern=r"^0x[0-9a-f]{64}$")
    start_block: int = Field(default=0, ge=0)
    confirmations: int = Field(default=6, ge=1, le=256)
    revenue_wallet: Address
    former_revenue_wallets: list[Address] = []
    poll_ms: int = Field(default=1000, ge=100)
    wallet_rpc_url: str | None = None
    provisional_cap_minutes: int | None = Field(default=None, ge=1)
    agreement_above_gpu_minutes: int | None = Field(default=None, ge=0)
    sequencer_feed: Address | None = None
    sequencer_grace_s: int = Field(default=3600, ge=0)
    trace: Literal["auto", "off"] = "auto"

    @property
    def wallets(self) -> tuple[str, ...]:
        """Every revenue wallet, the current one first, lower case."""
        return tuple(a.lower() for a in (self.revenue_wallet, *self.former_revenue_wallets))


class EthRail(Section):
    """Native ETH on the home chain: live price, holder discount."""

    enabled: bool = True
    minimum_wei: int = Field(default=500_000_000_000_000, gt=0)
    usd_feed: Address
    feed_heartbeat_s: int = Field(default=3600, gt=0)
    feed_grace_s: int = Field(default=300, ge=0)
    min_usd: Decimal = Decimal(100)
    max_usd: Decimal = Decimal(100_000)


class AxgtRail(Section):
    """The AXGT token on the home chain: holder tiers by its contract, and the rail that takes it.

    The rail's price is min(time-weighted, spot) of `pool`, whose other token is a dollar or wrapped ETH
    (`pool_quote`), and `second_feed` (AXGT/USD) must lie within
    `second_within_bps` of it; an operator who has no second source says `single_source = true`.
    """

    contract: Address
    decimals: int = Field(default=18, ge=0, le=36)
    enabled: bool = False
    minimum_tokens: int = Field(default=100, gt=0)
    bonus_bps: int = Field(default=2_500, ge=0, le=100_000)
    pool: Address | None = None
    pool_quote: Literal["usd", "eth"] = "usd"
    second_feed: Address | None = None
    single_source: bool = False
    second_within_bps: int = Field(default=500, gt=0, lt=10_000)
    feed_heartbeat_s: int = Field(default=3600, gt=0)
    feed_grace_s: int = Field(default=300, ge=0)
    twap_s: int = Field(default=1800, ge=60)
    liquidity_floor_usd: int = Field(default=50_000, gt=0)
    min_usd: Decimal = Decimal("0.000001")
    max_usd: Decimal = Decimal(1_000)
    daily_cap_gpu_minutes_wallet: int = Field(default=6_000, gt=0)
    daily_cap_gpu_minutes_total: int = Field(default=60_000, gt=0)


class UsdcRail(Section):
    """The USDC token, a fixed dollar: on `chain_id`, the home chain unless told otherwise.

    Where there is a feed, USDC that is worth less than `depeg_below_usd` waits instead.
    """

    contract: Address
    enabled: bool = True
    chain_id: int | None = None
    minimum: int = Field(default=1_000_000, gt=0)
    usd_feed: Address | None = None
    feed_heartbeat_s: int = Field(default=86_400, gt=0)
    feed_grace_s: int = Field(default=300, ge=0)
    depeg_below_usd: Decimal = Field(default=Decimal("0.98"), gt=0, le=1)


class X402Rail(Section):
    """Payments by HTTP 402: signed USDC transfers that the platform itself puts on the chain, for gas.

    `settlement_key` signs those transactions and holds nothing but gas money. Only `amounts` are taken, in
    USDC's smallest unit. `provisional_cap_minutes` bounds what one wallet may have from payments with fewer
    than the chain's confirmations. A day's gas is at most `gas_budget_wei`, and none is spent above
    `max_gas_price_wei`; after `breaker_reverts` failed transactions in `breaker_minutes` nothing is settled
    for as long. `receipt_wait_s` is how long a request waits to see its payment on the chain.
    """

    settlement_key: Path
    amounts: list[int] = [100_000, 1_000_000, 5_000_000, 10_000_000]
    max_timeout_s: int = Field(default=120, ge=30, le=3_600)
    provisional_cap_minutes: int = Field(default=1_200, ge=1)
    gas_limit: int = Field(default=250_000, ge=60_000, le=2_000_000)
    gas_budget_wei: int = Field(default=50_000_000_000_000_000, gt=0)
    max_gas_price_wei: int = Field(default=50_000_000_000, gt=0)
    breaker_reverts: int = Field(default=5, ge=1)
    breaker_minutes: int = Field(default=10, ge=1)
    receipt_wait_s: float = Field(default=15, gt=0, le=60)

    @field_validator("amounts")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if not value or value != sorted(set(value)) or value[0] < 10_000:
            raise ValueError("amounts in USDC's smallest unit, 10000 (one cent) or more each, ascending")
        return value


class Pricing(Section):
    """What a GPU-hour costs and how holders save.

    With `tier_lookback_days` the tier is the least of the holdings at the deposit and so many days before.
    """

    usd_per_gpu_hour: Decimal = Field(default=Decimal(1), gt=0)
    tiers: list[tuple[int, int]] = [(0, 0), (100, 500), (1_000, 1_000), (10_000, 1_500), (100_000, 2_500)]
    tier_lookback_days: list[int] = []

    @field_validator("tiers")
    @classmethod
    def _ascending(cls, value: list[tuple[int, int]]) -> list[tuple[int, int]]:
        floors = [floor for floor, _ in value]
        if not value or floors[0] != 0 or floors != sorted(set(floors)):
            raise ValueError("pairs of (AXGT held, discount in basis points) from 0 upwards, ascending")
        if any(not 0 <= discount < 10_000 for _, discount in value):
            raise ValueError("a discount is 0 to 9999 basis points")
        return value

    @field_validator("tier_lookback_days")
    @classmethod
    def _days(cls, value: list[int]) -> list[int]:
        if value != sorted(set(value)) or any(not 1 <= day <= 365 for day in value):
            raise ValueError("days before the deposit, 1 to 365, ascending")
        return value


class Quotes(Section):
    """Binding quotes: how long one holds, how many a wallet may have open, and how much one may be for."""

    minutes: int = Field(default=15, ge=1, le=1440)
    open_per_wallet: int = Field(default=5, ge=1, le=100)
    max_gpu_hours: int = Field(default=1_000, ge=1)


class Ledger(Section):
    """The operator's entries: above this many GPU-minutes a day a second operator must approve.

    Every `check_every_minutes` the worker checks the journal's invariants.
    """

    second_approval_above_minutes: int = Field(default=600, ge=0)
    check_every_minutes: int = Field(default=60, ge=1)


def money_problems(chains: Sequence[Chain], usdc: UsdcRail | None, axgt: AxgtRail | None) -> list[str]:
    """What chains and rails do not agree on, a line each; None stands for a section that cannot be read."""
    ids = [chain.chain_id for chain in chains]
    found = [
        f"further_chains: chain {n} is configured twice" for n, times in Counter(ids).items() if times > 1
    ]
    contracts = {s.contract.lower(): name for name, s in (("usdc", usdc), ("axgt", axgt)) if s}
    for chain in chains:
        found += _chain_problems(chain, contracts)
    if usdc and axgt and len(contracts) == 1 and usdc.chain_id in {None, *ids[:1]}:
        found.append("usdc.contract and axgt.contract are the same address")
    if usdc and usdc.chain_id is not None and ids and usdc.chain_id not in ids:
        found.append(f"usdc.chain_id: chain {usdc.chain_id} is not configured")
    return found + (_axgt_problems(axgt) if axgt else [])


def _chain_problems(chain: Chain, contracts: dict[str, str]) -> list[str]:
    where = f"chain {chain.chain_id}"
    found = [
        f"{where}: revenue wallet {address} is the {contracts[address]} contract"
        for address in chain.wallets
        if address in contracts
    ]
    if len(set(chain.wallets)) < len(chain.wallets):
        found.append(f"{where}: a revenue wallet is named twice")
    if chain.agreement_above_gpu_minutes is not None and len(set(chain.rpc_urls)) < 2:
        found.append(f"{where}: agreement_above_gpu_minutes needs two rpc_urls")
    return found


def _axgt_problems(axgt: AxgtRail) -> list[str]:
    if not axgt.enabled:
        return []
    found = []
    if axgt.pool is None:
        found.append("axgt.pool: the enabled rail needs a pool to read its price from")
    if axgt.second_feed is None and not axgt.single_source:
        found.append("axgt.second_feed: the enabled rail needs a second price, or single_source = true")
    if axgt.daily_cap_gpu_minutes_wallet > axgt.daily_cap_gpu_minutes_total:
        found.append("axgt.daily_cap_gpu_minutes_wallet is above daily_cap_gpu_minutes_total")
    return found


def readable_problems(raw: dict[str, Any]) -> list[str]:
    """`money_problems` of those sections of a broken file that can be read by themselves."""
    further = raw.get("further_chains", [])
    tables = [raw.get("chain"), *(further if isinstance(further, list) else [])]
    chains = [chain for chain in (_readable(Chain, table) for table in tables) if chain]
    if len(chains) < len(tables):
        return _axgt_problems(axgt) if (axgt := _readable(AxgtRail, raw.get("axgt"))) else []
    return money_problems(chains, _readable(UsdcRail, raw.get("usdc")), _readable(AxgtRail, raw.get("axgt")))


def _readable(section: type[S], table: Any) -> S | None:
    try:
        return section.model_validate(table)
    except ValidationError:
        return None

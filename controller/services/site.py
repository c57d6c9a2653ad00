"""What the site says about itself: its public configuration, the origins of its streams, its health."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from eth_utils.address import to_checksum_address
from sqlmodel import col, select, text

from controller.errors import Unavailable
from controller.models import Host
from controller.services.deps import Deps
from controller.services.pricing.payment_addresses import accepted
from controller.services.pricing.rate_board import RateBoard
from controller.settings import Settings
from controller.settings_money import Chain

_STREAM_ORIGIN = re.compile(r"wss?://[A-Za-z0-9.:\[\]-]+")


@dataclass(frozen=True)
class ChainConfig:
    """A chain payments are made on. `rpc_url` is only what an operator publishes for wallets.

    `revenue_wallet` is empty while payments are held (`payment_addresses`).
    """

    id: int
    name: str
    genesis_hash: str
    confirmations: int
    revenue_wallet: str
    rpc_url: str | None


@dataclass(frozen=True)
class SiteConfig:
    """What a page or another client needs before it signs in; nothing secret. `chain` is the home chain."""

    origin: str
    mode: str
    chain: ChainConfig
    chains: list[ChainConfig]
    heartbeat_s: int
    grace_minutes: int
    reconnect_window_s: int
    open_within_minutes: int
    usd_per_gpu_hour_text: str
    rails_text: str
    simulated_gpus: bool


@dataclass(frozen=True)
class Health:
    """`ok` while pages can be served; `chain` false means deposits are seen later."""

    ok: bool
    database: bool
    chain: bool
    head_block: int | None


def site_config(deps: Deps) -> SiteConfig:
    """The public configuration."""
    s = deps.settings
    payable = accepted(deps)
    chains = [_chain(chain, payable=payable) for chain in s.chains]
    return SiteConfig(
        origin=s.web.origin,
        mode=s.mode,
        chain=chains[0],
        chains=chains,
        heartbeat_s=s.sessions.heartbeat_s,
        grace_minutes=s.sessions.grace_minutes,
        reconnect_window_s=s.sessions.reconnect_window_s,
        open_within_minutes=s.queue.open_within_minutes,
        usd_per_gpu_hour_text=f"${s.pricing.usd_per_gpu_hour:.2f}",
        rails_text=_rails(s),
        simulated_gpus=gpus_are_simulated(deps),
    )


def _rails(settings: Settings) -> str:
    """What can be paid with, for people: `ETH, USDC or AXGT`."""
    offered = {"ETH": settings.eth.enabled, "USDC": settings.usdc.enabled, "AXGT": settings.axgt.enabled}
    *first, last = [name for name, enabled in offered.items() if enabled] or ["nothing yet"]
    return f"{', '.join(first)} or {last}" if first else last


def _chain(chain: Chain, *, payable: bool) -> ChainConfig:
    return ChainConfig(
        chain.chain_id,
        chain.name,
        chain.genesis_hash,
        chain.confirmations,
        to_checksum_address(chain.revenue_wallet) if payable else "",
        chain.wallet_rpc_url,
    )


def gpus_are_simulated(deps: Deps) -> bool:
    """Whether any host that takes sessions only pretends to have its GPUs; it is said openly."""
    with deps.database.begin() as db:
        found = db.exec(select(Host.name).where(Host.simulated, Host.state != "removed")).first()
    return found is not None


def stream_origins(deps: Deps) -> list[str]:
    """Origins of all gateways a desktop may be streamed from, for the content policy."""
    with deps.database.begin() as db:
        urls = db.exec(select(Host.gateway_url).where(col(Host.state) != "removed")).all()
    origins = {"{0.scheme}://{0.netloc}".format(urlsplit(u)) for u in [*urls, deps.settings.gateway.url]}
    return sorted(o for o in origins if _STREAM_ORIGIN.fullmatch(o))


def health(deps: Deps, board: RateBoard) -> Health:
    """Whether the database answers now, and the chain did a moment ago; anybody may ask, however often."""
    return Health(
        ok=(database := _database_answers(deps)),
        database=database,
        chain=(head := board.head_number()) is not None,
        head_block=head,
    )


def _database_answers(deps: Deps) -> bool:
    try:
        with deps.database.begin() as db:
            db.execute(text("SELECT 1"))
    except Unavailable:
        return False
    return True

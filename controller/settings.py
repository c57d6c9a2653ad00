"""One `Settings`, read once from the platform's TOML file; all problems are listed at once.

Secrets are named by file path and read where they are used. Nothing else in the project reads
configuration from the environment: `AXONOS_CONFIG` (the file's path) is the only variable.
"""

from __future__ import annotations

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from controller.errors import SettingsInvalid

DEFAULT_PATH = Path("/var/lib/axonos/axonos.toml")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ADDRESS = r"^0x[0-9a-fA-F]{40}$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Web(_Section):
    """Where the site listens, and the one origin it is reached at."""

    origin: str
    bind: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    processes: int = Field(default=1, ge=1)
    threads: int = Field(default=8, ge=1)
    proxy_hops: int = Field(default=0, ge=0, le=4)

    @field_validator("origin")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
            raise ValueError("an origin such as https://gpu.example.org, without a path")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("without TLS only a loopback origin is accepted")
        return value


class Gateway(_Section):
    """Where this host's gateway listens, and how browsers reach it."""

    url: str
    bind: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)


class Database(_Section):
    """PostgreSQL, by SQLAlchemy URL; a password belongs in a pgpass file, not here."""

    url: str


class Chain(_Section):
    """The chain of the ETH and AXGT rails; `wallet_rpc_url` is shown to wallets that lack the chain."""

    chain_id: int = Field(gt=0)
    name: str
    rpc_urls: list[str] = Field(min_length=1)
    genesis_hash: str = Field(pattern=r"^0x[0-9a-f]{64}$")
    start_block: int = Field(default=0, ge=0)
    confirmations: int = Field(default=6, ge=1, le=256)
    revenue_wallet: str = Field(pattern=_ADDRESS)
    poll_ms: int = Field(default=1000, ge=100)
    wallet_rpc_url: str | None = None


class EthRail(_Section):
    """Native ETH: live price, holder discount."""

    enabled: bool = True
    minimum_wei: int = Field(default=500_000_000_000_000, gt=0)
    usd_feed: str = Field(pattern=_ADDRESS)
    feed_heartbeat_s: int = Field(default=3600, gt=0)
    feed_grace_s: int = Field(default=300, ge=0)
    min_usd: Decimal = Decimal(100)
    max_usd: Decimal = Decimal(100_000)


class AxgtToken(_Section):
    """The AXGT token: holder tiers, by its contract address."""

    contract: str = Field(pattern=_ADDRESS)
    decimals: int = Field(default=18, ge=0, le=36)


class UsdcToken(_Section):
    """The USDC token on this chain; its rail is off until enabled."""

    contract: str = Field(pattern=_ADDRESS)
    enabled: bool = False
    minimum: int = Field(default=1_000_000, gt=0)


class Pricing(_Section):
    """What a GPU-hour costs and how holders save."""

    usd_per_gpu_hour: Decimal = Field(default=Decimal(1), gt=0)
    tiers: list[tuple[int, int]] = [(0, 0), (100, 500), (1_000, 1_000), (10_000, 1_500), (100_000, 2_500)]

    @field_validator("tiers")
    @classmethod
    def _ascending(cls, value: list[tuple[int, int]]) -> list[tuple[int, int]]:
        floors = [floor for floor, _ in value]
        if not value or floors[0] != 0 or floors != sorted(set(floors)):
            raise ValueError("pairs of (AXGT held, discount in basis points) from 0 upwards, ascending")
        if any(not 0 <= discount < 10_000 for _, discount in value):
            raise ValueError("a discount is 0 to 9999 basis points")
        return value


class Sessions(_Section):
    """Clocks and limits of sessions."""

    image_id: str
    grace_minutes: int = Field(default=120, ge=0)
    reconnect_window_s: int = Field(default=45, ge=5)
    absence_s: int = Field(default=180, ge=30)
    heartbeat_s: int = Field(default=20, ge=5)
    tick_s: int = Field(default=60, ge=1)
    hold_minutes: int = Field(default=1, ge=1)
    lease_minutes: int = Field(default=15, ge=1)
    start_timeout_s: int = Field(default=60, ge=5)
    cpus_per_gpu: Decimal = Field(default=Decimal(1), gt=0)
    memory_mib_per_gpu: int = Field(default=2048, ge=512)
    warn_minutes: list[int] = [30, 10, 3]


class Secrets(_Section):
    """Files that hold secrets; never their contents."""

    web_key: Path
    ticket_private_key: Path
    guard_token: Path


class HostSection(_Section):
    """What gateway, guard and the session programs of this machine need."""

    name: str
    controller_url: str
    homes_dir: Path
    run_dir: Path
    ticket_public_key: Path
    guard_token: Path
    pages_origin: str
    session_uid: int = 7000
    gateway_group: str = "axonos-gateway"
    subnet_pool: str = "10.213.0.0/16"


class Local(_Section):
    """What exists only in local mode: faucet, demo wallet, and the allow-listed way to the local chain."""

    faucet_key: Path
    faucet_wei: int = 1_000_000_000_000_000_000
    faucet_per_hour: int = 20
    ethers_js: Path


class Settings(_Section):
    """The whole configuration of one instance."""

    instance: str = Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")
    mode: Literal["local", "production"]
    state_dir: Path
    run_dir: Path
    web: Web
    gateway: Gateway
    database: Database
    chain: Chain
    eth: EthRail
    axgt: AxgtToken
    usdc: UsdcToken
    pricing: Pricing = Pricing()
    sessions: Sessions
    secrets: Secrets
    host: HostSection
    local: Local | None = None
    novnc_dir: Path
    playbooks_dir: Path

    @model_validator(mode="after")
    def _local_is_loopback(self) -> Settings:
        if (self.mode == "local") != (self.local is not None):
            raise ValueError('[local] belongs to mode = "local", and only to it')
        if self.mode == "local" and (
            urlsplit(self.web.origin).hostname not in LOOPBACK or self.web.bind not in LOOPBACK
        ):
            raise ValueError("local mode is bound to loopback: web.origin and web.bind must name it")
        return self


def load_settings(path: Path | None = None) -> Settings:
    """Read and check the configuration.

    Args:
        path: the TOML file; default `AXONOS_CONFIG`, else /var/lib/axonos/axonos.toml.

    Raises:
        SettingsInvalid: the file is missing or has problems; the message lists all of them.
    """
    path = path or Path(os.environ.get("AXONOS_CONFIG", str(DEFAULT_PATH)))
    try:
        return Settings.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise SettingsInvalid(
            f"{path}: {error.strerror}. Run `make up` first, or set AXONOS_CONFIG."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or '(file)'}: {e['msg']}" for e in error.errors()]
        raise SettingsInvalid("\n".join([f"{path} has {len(lines)} problem(s):", *lines])) from error

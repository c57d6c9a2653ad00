"""One `Settings`, read once from the platform's TOML file; all problems are listed at once.

Secrets are named by file path and read where they are used. Nothing else in the project reads
configuration from the environment: `AXONOS_CONFIG` (the file's path) is the only variable.
"""

from __future__ import annotations

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from controller.errors import SettingsInvalid
from controller.settings_money import (
    AxgtRail,
    Chain,
    EthRail,
    Ledger,
    Pricing,
    Quotes,
    Section,
    UsdcRail,
    X402Rail,
    money_problems,
    readable_problems,
)
from controller.settings_storage import Storage

DEFAULT_PATH = Path("/var/lib/axonos/axonos.toml")
ProfileName = Literal["small", "medium", "large", "max"]
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Web(Section):
    """Where the site listens, and the one origin it is reached at."""

    origin: str
    bind: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    processes: int = Field(default=2, ge=1)
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


class Gateway(Section):
    """Where this host's gateway listens, and how browsers reach it."""

    url: str
    bind: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)


class Database(Section):
    """PostgreSQL, by SQLAlchemy URL; a password belongs in a pgpass file, not here."""

    url: str


class Sessions(Section):
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
    warn_minutes: list[int] = Field(default=[30, 10, 3])


class Idle(Section):
    """When a desktop at which nothing happens is ended by itself: after a notice, and never while it works.

    `end_after_minutes` 0: never, unless its owner wants it; the shorter of both counts. It is idle without
    input and up to `cpu_percent` of one core, `gpu_percent` of its busiest GPU and `io_kib_per_s` of disks
    and network.
    """

    end_after_minutes: int = Field(default=0, ge=0)
    notice_minutes: int = Field(default=5, ge=1)
    cpu_percent: float = Field(default=10, ge=0)
    gpu_percent: float = Field(default=5, ge=0)
    io_kib_per_s: float = Field(default=64, ge=0)


class Ssh(Section):
    """Which ports of a host shells may have, each one at a time; below those the kernel gives to clients.

    A shell holds a GPU, so a host needs as many ports as it has GPUs, and some for those being removed.
    """

    port_from: int = Field(default=22_000, ge=1024, le=65_535)
    port_to: int = Field(default=23_999, ge=1024, le=65_535)

    @model_validator(mode="after")
    def _is_a_range(self) -> Ssh:
        if self.port_to < self.port_from + 63:
            raise ValueError("port_from to port_to must be 64 ports or more")
        return self


class Pool(Section):
    """Desktops that are painted before anybody comes: how many of each profile, and what they may take.

    `memory_mib` is for all that wait on one host; `reserve_mib` is memory of a host that they leave alone.
    """

    small: int = Field(default=0, ge=0, le=64)
    medium: int = Field(default=0, ge=0, le=64)
    large: int = Field(default=0, ge=0, le=64)
    max: int = Field(default=0, ge=0, le=64)
    priority: tuple[ProfileName, ...] = ("small", "medium", "large", "max")
    memory_mib: int = Field(default=1024, ge=0)
    reserve_mib: int = Field(default=1024, ge=0)
    max_age_minutes: int = Field(default=720, ge=1)

    @property
    def sizes(self) -> dict[str, int]:
        """How many of each profile wait, in the order in which they are made."""
        order: list[str] = [*self.priority, "small", "medium", "large", "max"]
        return {name: int(getattr(self, name)) for name in dict.fromkeys(order)}


class Queue(Section):
    """Who gets GPUs when they are scarce. `first-fit` is the specification's rule and nothing beyond it.

    `promise`: every waiting claim is told when it starts at the latest. `slack_percent` of the planned
    wait and `slack_minutes_per_gpu` widen a promise; a host is drained for a claim of 8 (4) GPUs that has
    waited `drain_max_minutes` (`drain_large_minutes`): others start there only if they are through before
    its planned start, after `drain_firm_minutes` within `drain_firm_percent` of the time until then, after
    `drain_hard_minutes` not at all. A bounded start is offered for `least_guarantee_minutes` and
    `least_guarantee_percent` of the paid time at least; `extend_minutes` is what an expiring guarantee gets
    at a time. `turnaround_s` is how long GPUs take from one session to the next; `hold_back_s` how long
    before a promise a claim is to be started. `tries` bounds the work of one plan.

    A claim whose page is gone is kept for `keep_without_browser_minutes`. A session that nobody opens
    within `open_within_minutes` of being ready ends.
    """

    policy: Literal["promise", "first-fit"] = "promise"
    slack_percent: int = Field(default=50, ge=0, le=1_000)
    slack_minutes_per_gpu: int = Field(default=60, ge=0)
    drain_max_minutes: int = Field(default=60, ge=0)
    drain_large_minutes: int = Field(default=3_000, ge=0)
    drain_firm_minutes: int = Field(default=800, ge=0)
    drain_firm_percent: int = Field(default=40, ge=0, le=100)
    drain_hard_minutes: int = Field(default=1_600, ge=0)
    least_guarantee_minutes: int = Field(default=60, ge=1)
    least_guarantee_percent: int = Field(default=50, ge=0, le=100)
    extend_minutes: int = Field(default=10, ge=1)
    turnaround_s: int = Field(default=30, ge=1)
    hold_back_s: int = Field(default=120, ge=0)
    tries: int = Field(default=4, ge=0, le=100)
    keep_without_browser_minutes: int = Field(default=1_440, ge=1)
    open_within_minutes: int = Field(default=5, ge=1)


class Secrets(Section):
    """Files that hold secrets; never their contents."""

    web_key: Path
    ticket_private_key: Path
    guard_token: Path


class HostSection(Section):
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
    nvidia_smi: str = "/usr/bin/nvidia-smi"
    ssh_bind: str | None = None


class Local(Section):
    """What exists only in local mode: faucet, demo wallet, and the allow-listed way to the local chain."""

    faucet_key: Path
    faucet_wei: int = 1_000_000_000_000_000_000
    faucet_usdc: int = Field(default=100, gt=0)
    faucet_axgt: int = Field(default=1_000, gt=0)
    faucet_per_hour: int = 20
    ethers_js: Path


class Settings(Section):
    """The whole configuration of one instance."""

    instance: str = Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")
    mode: Literal["local", "production"]
    state_dir: Path
    run_dir: Path
    web: Web
    gateway: Gateway
    database: Database
    chain: Chain
    further_chains: list[Chain] = Field(default=[])
    eth: EthRail
    axgt: AxgtRail
    usdc: UsdcRail
    x402: X402Rail | None = None
    pricing: Pricing = Pricing()
    quotes: Quotes = Quotes()
    ledger: Ledger = Ledger()
    sessions: Sessions
    pool: Pool = Pool()
    queue: Queue = Queue()
    storage: Storage = Storage()
    ssh: Ssh = Ssh()
    idle: Idle = Idle()
    secrets: Secrets
    host: HostSection
    local: Local | None = None
    novnc_dir: Path
    playbooks_dir: Path

    @property
    def chains(self) -> tuple[Chain, ...]:
        """Every chain that is watched, the home chain first."""
        return (self.chain, *self.further_chains)

    def chain_by_id(self, chain_id: int) -> Chain:
        """A watched chain.

        Raises:
            KeyError: no such chain is configured.
        """
        return {chain.chain_id: chain for chain in self.chains}[chain_id]

    def chain_of(self, rail: Literal["eth", "usdc", "axgt"]) -> Chain:
        """The chain a rail is paid on; only USDC's may be another than the home chain."""
        if rail == "usdc" and self.usdc.chain_id is not None:
            return self.chain_by_id(self.usdc.chain_id)
        return self.chain

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        found = [*self._mode_problems(), *money_problems(self.chains, self.usdc, self.axgt)]
        if found:
            raise ValueError("\n".join(found))
        return self

    def _mode_problems(self) -> list[str]:
        if (self.mode == "local") != (self.local is not None):
            return ['[local] belongs to mode = "local", and only to it']
        if self.mode == "local" and (
            urlsplit(self.web.origin).hostname not in LOOPBACK or self.web.bind not in LOOPBACK
        ):
            return ["local mode is bound to loopback: web.origin and web.bind must name it"]
        return []


def load_settings(path: Path | None = None) -> Settings:
    """Read and check the configuration.

    Args:
        path: the TOML file; default `AXONOS_CONFIG`, else /var/lib/axonos/axonos.toml.

    Raises:
        SettingsInvalid: the file is missing or has problems; the message lists all of them.
    """
    path = path or Path(os.environ.get("AXONOS_CONFIG", str(DEFAULT_PATH)))
    raw: dict[str, Any] = {}
    try:
        raw = tomllib.loads(path.read_text())
        return Settings.model_validate(raw)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingsInvalid(f"{path}: {why}. Run `make up` first, or set AXONOS_CONFIG.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        lines = [f"  {line}" for line in _lines(error, raw)]
        raise SettingsInvalid("\n".join([f"{path} has {len(lines)} problem(s):", *lines])) from error


def _lines(error: ValidationError, raw: dict[str, Any]) -> list[str]:
    """A line for each problem; what sections must agree on is said even while fields are wrong."""
    found = []
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        found += [f"{where}: {message}"] if where else message.split("\n")
    if all(problem["loc"] for problem in error.errors()):
        found += readable_problems(raw)
    return found

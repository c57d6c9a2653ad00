"""The guard's one connection to the controller: reports out, leases and orders in. Checks what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from controller.guard.observe import BOOT_ID
from controller.host.config import HostConfig
from controller.host.home_usage import WALLET
from controller.host.names import SLOT

PATH = "/internal/guard/report"
MAX_TEXT = 300


class NoAnswer(Exception):
    """The controller did not answer, or not in the protocol's form."""


@dataclass(frozen=True)
class Renewal:
    """A slot may run until an instant of this host's clock."""

    slot: str
    until_ms: int
    fencing_token: int


@dataclass(frozen=True)
class Warn:
    """A sentence for the person at a desktop."""

    id: int
    slot: str
    text: str
    urgency: str


@dataclass(frozen=True)
class Clock:
    """How long a shell goes on: until its balance is used up, and at the latest."""

    slot: str
    state: str
    empty_in_ms: int
    ends_in_ms: int


@dataclass(frozen=True)
class Quotas:
    """The most bytes of a home, and of those wallets for which it is another number; 0 for no limit."""

    default: int
    others: dict[str, int]


@dataclass(frozen=True)
class Orders:
    """What the controller wants."""

    leases: tuple[Renewal, ...]
    stop: tuple[str, ...]
    warnings: tuple[Warn, ...]
    next_ms: int
    now_ms: int | None = None
    clocks: tuple[Clock, ...] = ()
    quotas: Quotas | None = None
    measure: bool = False


class Controller:
    """Reports over one kept connection; the token is read anew each time, so it can be changed."""

    def __init__(self, config: HostConfig, transport: httpx.BaseTransport | None = None) -> None:
        """Args: the host's configuration; tests bring their own transport."""
        self._config = config
        self._client = httpx.Client(base_url=config.controller_url, timeout=5, transport=transport)

    def report(
        self,
        slots: list[dict[str, Any]],
        delivered: list[int],
        at_ms: int,
        *,
        homes: dict[str, int] | None = None,
        activity: dict[str, Any] | None = None,
        health: dict[str, Any] | None = None,
    ) -> Orders:
        """Send one report; `homes`, `activity` and `health` are what was just counted, seen and found.

        Raises:
            NoAnswer: with the reason; to be tried again later.
        """
        body = {
            "host": self._config.name,
            "boot_id": BOOT_ID.read_text().strip(),
            "at_ms": at_ms,
            "slots": slots,
            "delivered": delivered,
        } | {key: value for key, value in (("homes", homes), ("health", health)) if value is not None}
        body |= activity or {}
        try:
            token = self._config.guard_token.read_text().strip()
            answer = self._client.post(PATH, json=body, headers={"Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            return parse(answer.json())
        except (OSError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from error


def parse(data: Any) -> Orders:
    """Check an answer. Raises ValueError, KeyError or TypeError when it is not one."""
    leases = [Renewal(_slot(x["slot"]), int(x["until_ms"]), int(x["fencing_token"])) for x in data["leases"]]
    warnings = [
        Warn(int(x["id"]), _slot(x["slot"]), _sentence(x["text"]), _urgency(x["urgency"]))
        for x in data["warnings"]
    ]
    stop = tuple(_slot(slot) for slot in data["stop"])
    next_ms = min(max(int(data["next_ms"]), 200), 60_000)
    said = data.get("now_ms")
    now_ms = None if said is None else int(said)
    clocks = _clocks(data.get("clocks", []))
    quotas = _quotas(data["quotas"]) if data.get("quotas") else None
    return Orders(
        tuple(leases), stop, tuple(warnings), next_ms, now_ms, clocks, quotas, data.get("measure") is True
    )


def _quotas(said: Any) -> Quotas:
    others = {_wallet(wallet): _size(most) for wallet, most in said["others"].items()}
    return Quotas(_size(said["default"]), others)


def _wallet(value: Any) -> str:
    if not isinstance(value, str) or not WALLET.fullmatch(value):
        raise ValueError("not a wallet")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("not a number of bytes")
    return value


def _clocks(items: Any) -> tuple[Clock, ...]:
    return tuple(
        Clock(_slot(x["slot"]), _state(x["state"]), int(x["empty_in_ms"]), int(x["ends_in_ms"]))
        for x in items
    )


def _state(value: Any) -> str:
    if value not in ("running", "grace"):
        raise ValueError("not the state of a shell that is up")
    return str(value)


def _slot(value: Any) -> str:
    if not isinstance(value, str) or not SLOT.fullmatch(value):
        raise ValueError("not a slot")
    return value


def _sentence(value: Any) -> str:
    """Printable, short, and never an option of the program that shows it."""
    text = "".join(char if char.isprintable() else " " for char in str(value))[:MAX_TEXT].strip()
    return text.lstrip("-")


def _urgency(value: Any) -> str:
    if value not in ("normal", "critical"):
        raise ValueError("not an urgency")
    return str(value)

"""What the services need from outside. Adapters implement these; tests bring their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlmodel import Session


class Clock(Protocol):
    """The server's clock, the only one that counts."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...


class Database(Protocol):
    """PostgreSQL, one transaction at a time."""

    def begin(self) -> AbstractContextManager[Session]:
        """A transaction: committed at the end of the block, rolled back on an error.

        Raises:
            DatabaseUnavailable: the server cannot be reached.
        """
        ...


@dataclass(frozen=True)
class Block:
    """A block of the chain, as read in one call."""

    number: int
    hash: str
    parent_hash: str
    timestamp_s: int


@dataclass(frozen=True)
class Payment:
    """Value that reached the revenue wallet: one log or one value-moving call frame."""

    tx_hash: str
    position: str
    asset: str
    payer: str
    amount: int
    block_number: int
    block_hash: str


@dataclass(frozen=True)
class TransactionFacts:
    """What a node says about one transaction."""

    tx_hash: str
    known: bool
    block_number: int | None = None
    block_hash: str | None = None
    succeeded: bool | None = None


@dataclass(frozen=True)
class PriceEvidence:
    """A price as read from a feed at a block; enough to recompute a credit."""

    feed: str
    round_id: int
    answer: int
    decimals: int
    updated_at_s: int
    block_hash: str


class ChainReader(Protocol):
    """Reads one chain. Every method raises ChainUnavailable when no node answers."""

    def genesis_hash(self) -> str: ...
    def head(self) -> Block: ...
    def block(self, number: int) -> Block: ...
    def finalized_number(self) -> int: ...
    def payments_in(self, block: Block) -> list[Payment]: ...
    def payments_of(self, tx_hash: str) -> list[Payment]: ...
    def transaction(self, tx_hash: str) -> TransactionFacts: ...
    def eth_usd(self, block_hash: str) -> PriceEvidence: ...
    def axgt_balance(self, wallet: str, block_hash: str | None = None) -> int: ...


@dataclass(frozen=True)
class RunOutcome:
    """How a playbook run ended. `result` is the action plugin's result object, if it got that far."""

    succeeded: bool
    result: dict[str, Any]
    error_code: str | None = None


class Provisioner(Protocol):
    """Runs playbooks. Nothing behind this port is known to the services."""

    def run(
        self,
        *,
        run_id: int,
        playbook: str,
        host: dict[str, Any],
        variables: dict[str, Any],
        on_event: Callable[[dict[str, Any]], None],
        timeout_s: int,
    ) -> RunOutcome:
        """Run one playbook on one host to its end; every ansible-runner event goes to `on_event`."""
        ...


class TicketSigner(Protocol):
    """Signs stream tickets with the platform's Ed25519 key."""

    def sign(self, payload: bytes) -> bytes: ...


class SignInVerifier(Protocol):
    """Checks an EIP-4361 message and its signature, EOA or contract wallet."""

    def verify(
        self, message: str, signature: str, *, domain: str, uri: str, chain_id: int, nonce: str
    ) -> str:
        """The signing wallet, lower case.

        Raises:
            SignInRefused: with the reason.
        """
        ...


__all__ = [
    "Block",
    "ChainReader",
    "Clock",
    "Database",
    "Payment",
    "PriceEvidence",
    "Provisioner",
    "RunOutcome",
    "SignInVerifier",
    "TicketSigner",
    "TransactionFacts",
]

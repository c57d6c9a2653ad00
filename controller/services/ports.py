"""What the services need from outside. Adapters implement these; tests bring their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

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
    """Value that reached a revenue wallet: one log or one value-moving call frame.

    `position` is `log:<place in the receipt>` or `eth:<frame path>`; `payer` is the frame's or the log's
    `from`, `sender` and `nonce` are the transaction's.
    """

    tx_hash: str
    position: str
    asset: str
    payer: str
    amount: int
    block_number: int
    block_hash: str
    recipient: str = ""
    sender: str = ""
    nonce: int | None = None


@dataclass(frozen=True)
class BlockMoney:
    """All that reached the revenue wallets in one block.

    `unexplained_wei` is what their balances grew by beyond every payment found: a self-destruct without a
    frame, a block reward, a withdrawal, or an internal payment that no node can trace. `doubtful` names
    assets of which the wallets' holdings did not grow by what the token's logs say.
    """

    payments: list[Payment]
    unexplained_wei: int = 0
    doubtful: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sent:
    """Value that left a revenue wallet, in the asset's smallest unit."""

    asset: str
    recipient: str
    amount: int


@dataclass(frozen=True)
class TransactionFacts:
    """What a node says about one transaction; known without a block means it waits in the pool."""

    tx_hash: str
    known: bool
    block_number: int | None = None
    block_hash: str | None = None
    succeeded: bool | None = None
    sender: str | None = None
    nonce: int | None = None


@dataclass(frozen=True)
class PriceEvidence:
    """A price as read from a feed at a block; enough to recompute a credit."""

    feed: str
    round_id: int
    answer: int
    decimals: int
    updated_at_s: int
    block_hash: str


@dataclass(frozen=True)
class AxgtPriceEvidence:
    """The AXGT price at a block as its pool and a second source say it.

    `twap` and `spot` are US dollars for one whole AXGT, times 10**decimals; `liquidity_usd` is the pool's
    quote side in whole dollars; `read` holds the contracts' own words those were computed from, as text.
    """

    pool: str
    twap: int
    spot: int
    decimals: int
    twap_s: int
    liquidity_usd: int
    second: PriceEvidence | None
    block_hash: str
    read: dict[str, str]


class ChainReader(Protocol):
    """Reads one chain. Every method raises ChainUnavailable when no node answers.

    Reads at a block hash raise StateForgotten where no node keeps that state any more; prices raise
    PriceUnavailable where the contract gives none. Whether a price is to be trusted is not judged here.
    """

    def genesis_hash(self) -> str: ...
    def head(self) -> Block: ...
    def block(self, number: int) -> Block: ...

    def finalized_number(self) -> int: ...

    def payments_in(self, block: Block) -> BlockMoney:
        """Everything that reached the revenue wallets in this very block, by its hash."""
        ...

    def read_on(self, before: Block, to: Block) -> Iterator[tuple[Block, BlockMoney]]:
        """`payments_in` for the blocks after `before` up to `to`, ascending.

        Yields every block that holds money and, last, the last one read. Only blocks that are final or at
        least 256 below `to` are left out where they hold nothing; nearer the head each follows its parent.
        Ends early while the chain is being reorganised.
        """
        ...

    def payments_of(self, tx_hash: str) -> list[Payment]:
        """What one mined transaction paid us, by the same rules; empty where it failed or is not mined."""
        ...

    def unsupported_tokens_of(self, tx_hash: str) -> list[str]:
        """Contracts, lower case, of tokens that we do not take and that this transaction sent us."""
        ...

    def transaction(self, tx_hash: str) -> TransactionFacts: ...

    def sent_in(self, tx_hash: str) -> list[Sent]:
        """What the revenue wallets themselves sent away in one mined transaction: a refund, a withdrawal."""
        ...

    def next_nonce(self, address: str) -> int:
        """How many transactions of an address are mined."""
        ...

    def eth_usd(self, block_hash: str) -> PriceEvidence: ...

    def usdc_usd(self, block_hash: str) -> PriceEvidence | None:
        """What the USDC feed says; None where no feed is configured."""
        ...

    def round_at(self, rail: Literal["eth", "usdc"], block: Block) -> PriceEvidence:
        """The feed's round that was current at a block's time, read from today's state.

        For blocks whose state the nodes have dropped; evidence names that block.
        """
        ...

    def axgt_usd(self, block_hash: str) -> AxgtPriceEvidence: ...
    def axgt_balance(self, wallet: str, block_hash: str | None = None) -> int: ...

    def agreeing(self) -> ChainReader:
        """A reader that asks two nodes each time.

        Its methods raise NodesDisagree where they differ or only one answers.
        """
        ...


@dataclass(frozen=True)
class RunOutcome:
    """How a playbook run ended. `result` is the action plugin's result object, if it got that far.

    `way` is how it was run (`warm`, `cold`) and `way_why` why not warm; `stages` are milliseconds since it
    began.
    """

    succeeded: bool
    result: dict[str, Any]
    error_code: str | None = None
    way: str | None = None
    way_why: str | None = None
    stages: dict[str, int] = field(default_factory=dict)


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


@dataclass(frozen=True)
class SignedBy:
    """Who signed; `digest` is what a contract wallet was asked about, None for a plain wallet."""

    wallet: str
    digest: str | None


class SignInVerifier(Protocol):
    """Checks signatures of plain and of contract wallets (EIP-1271, EIP-6492)."""

    def verify(
        self,
        message: str,
        signature: str,
        *,
        domain: str,
        uri: str,
        chain_id: int,
        nonce: str,
        without_scheme: bool = False,
    ) -> SignedBy:
        """The wallet that signed an EIP-4361 message, lower case.

        `without_scheme`: the text names no scheme, wherever the site is; x402's clients write none.

        Raises:
            SignInRefused: with the reason.
            ChainUnavailable: a contract wallet could not be asked.
        """
        ...

    def still_signed(self, wallet: str, digest: str, signature: str, *, chain_id: int) -> bool:
        """Whether a contract wallet still takes a signature; its answer may change.

        Raises:
            ChainUnavailable: it could not be asked.
        """
        ...

    def signed_words(self, wallet: str, words: dict[str, Any], signature: str, *, chain_id: int) -> bool:
        """Whether a wallet signed EIP-712 words.

        Raises:
            ChainUnavailable: a contract wallet could not be asked.
        """
        ...


__all__ = [
    "AxgtPriceEvidence",
    "Block",
    "BlockMoney",
    "ChainReader",
    "Clock",
    "Database",
    "Payment",
    "PriceEvidence",
    "Provisioner",
    "RunOutcome",
    "Sent",
    "SignInVerifier",
    "SignedBy",
    "TicketSigner",
    "TransactionFacts",
]

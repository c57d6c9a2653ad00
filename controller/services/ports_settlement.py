"""What payments by HTTP 402 need from outside: one who signs, sends and looks up settlements on the chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from controller.domain.x402 import Payload
from controller.services.ports import Block, Payment


@dataclass(frozen=True)
class TokenWords:
    """How the token names itself in signatures (EIP-712)."""

    name: str
    version: str


@dataclass(frozen=True)
class Terms:
    """What a payment has to be: one of `amounts` (smallest unit) of a token, on a chain, to a wallet.

    `v1_network` is the chain's name in version 1 of the protocol, None where it has none.
    """

    chain_id: int
    v1_network: str | None
    asset: str
    token: TokenWords
    pay_to: str
    amounts: tuple[int, ...]
    max_timeout_s: int
    resource: str

    @property
    def network(self) -> str:
        """The chain as CAIP-2 writes it."""
        return f"eip155:{self.chain_id}"


@dataclass(frozen=True)
class SignedTransfer:
    """A signed transaction, not sent yet; `gas_wei` is the most that it can cost."""

    tx_hash: str
    raw: str
    sender: str
    nonce: int
    gas_wei: int


@dataclass(frozen=True)
class TransferReceipt:
    """What became of a transaction that is in a block: its cost, and what it paid the revenue wallets."""

    succeeded: bool
    gas_wei: int
    block: Block
    payments: list[Payment]


@dataclass(frozen=True)
class Sending:
    """What a node said to a transaction: `taken`, `nonce` (used already) or `refused`, with its words."""

    outcome: str
    why: str = ""


@dataclass(frozen=True)
class Settled:
    """How far a settlement came.

    `refused`: nothing was signed, for this reason of the protocol. `sending` is None where no node answered
    to the transaction; `receipt` is None while no block holds it.
    """

    refused: str | None = None
    signed: SignedTransfer | None = None
    sending: Sending | None = None
    receipt: TransferReceipt | None = None


Sign = Callable[[Callable[[int], SignedTransfer]], SignedTransfer]


class Settler(Protocol):
    """Puts signed USDC transfers on the chain. Every method raises ChainUnavailable when no node answers."""

    @property
    def sender(self) -> str:
        """The address that pays the gas, lower case."""
        ...

    def token(self) -> TokenWords: ...

    def v1_network(self) -> str | None: ...

    def prepare(self) -> None:
        """Read what signing needs, so that nothing is asked of a node while a nonce is held.

        Raises:
            SettlementPaused: gas costs more than the operator allows.
        """
        ...

    def settle(self, payload: Payload, terms: Terms, sign: Sign) -> Settled:
        """Check a payment, simulate its transfer, sign it by `sign`, send it, wait for its block.

        Args:
            payload: the payment.
            terms: with exactly one amount, the one that is paid.
            sign: is given what signs for a nonce, chooses the nonce and writes the result down; what it
                raises ends the settlement before anything is sent.
        """
        ...

    def send(self, raw: str) -> Sending: ...

    def fill(self, nonce: int) -> Sending:
        """Use a nonce up with a transaction that pays nobody."""
        ...

    def receipt(self, tx_hash: str) -> TransferReceipt | None: ...

    def used_in(self, payer: str, nonce: str) -> str | None:
        """The transaction that used an authorization up, whoever sent it; None while it is unused."""
        ...

    def pending_nonce(self) -> int:
        """The next nonce as the pool of the node sees it."""
        ...

    def mined_nonce(self) -> int:
        """How many transactions of the sender are in blocks."""
        ...

"""Deposits as a wallet sees them: the list, and what a pasted transaction hash amounts to.

A pasted hash is a hint, never a claim: the credit goes to the payer on chain, by the watcher's own code.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.services.deps import Deps
from controller.services.rates import RateRow, Rates, rates

__all__ = ["DepositView", "RateRow", "Rates", "hint", "list_deposits", "rates", "watch_once"]


@dataclass(frozen=True)
class DepositView:
    """One money event, or a transaction that is not mined yet (`asset`, `amount` and `payer` are None).

    `state` is a state of `models.money`; `confirmations` counts up to `required`; `amount` is in the
    asset's smallest unit; `message` is what the user reads; `yours` says whether the wallet asked for paid.
    """

    tx_hash: str
    state: str
    confirmations: int
    required: int
    asset: str | None
    amount: int | None
    credited_gpu_ms: int | None
    payer: str | None
    message: str
    yours: bool


def hint(deps: Deps, wallet: str, tx_hash: str) -> DepositView:
    """Look at one transaction now.

    Raises:
        BadInput, DepositNotFound, TransactionFailed, NothingForUs, ChainUnavailable, PriceUnavailable.
    """
    raise NotImplementedError


def list_deposits(deps: Deps, wallet: str) -> list[DepositView]:
    """The wallet's deposits, newest first."""
    raise NotImplementedError


def watch_once(deps: Deps) -> int:
    """One step of the watcher: read new blocks, follow reorganisations, credit what is due.

    Returns:
        how many blocks were read and events changed; 0 means there is nothing to do now.
    """
    raise NotImplementedError

"""Deposits as a wallet sees them: the list, and what a pasted transaction hash amounts to.

A pasted hash is a hint, never a claim: the credit goes to the payer on chain, by the watcher's own code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.domain.deposits import OPEN, normalise_tx_hash, pending_text, short, state_text
from controller.errors import BadInput, ChainUnavailable, DepositNotFound, NothingForUs, TransactionFailed
from controller.models import ChainCursor, MoneyEvent
from controller.services.deposits_events import locked_cursor, record
from controller.services.deposits_value import decimals_of
from controller.services.deposits_watch import open_cursor, watch_once
from controller.services.deps import Deps
from controller.services.ports import TransactionFacts
from controller.services.rates import RateRow, Rates, rates
from controller.settings import Settings

__all__ = ["DepositView", "RateRow", "Rates", "hint", "list_deposits", "rates", "watch_once"]

LISTED = 100


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
    """Look at one transaction now instead of at the watcher's next step.

    Args:
        deps: ports and settings.
        wallet: who asks, lower case; decides only which of the transaction's payments is shown.
        tx_hash: as pasted, with or without 0x, in any case.

    Returns:
        the wallet's own payment in the transaction, else the first one, with `yours` False.

    Raises:
        BadInput: this is no transaction hash.
        DepositNotFound: the chain does not know it (yet).
        TransactionFailed: it was mined and failed.
        NothingForUs: it pays nothing to the revenue wallet, or was made before this platform watched.
        ChainUnavailable: the chain cannot be read, or is not ours.
    """
    try:
        tx_hash = normalise_tx_hash(tx_hash)
    except ValueError as error:
        raise BadInput(f"This is not a transaction hash: {error}.", field="tx_hash") from error
    facts = deps.chain.transaction(tx_hash)
    if not facts.known:
        raise DepositNotFound(
            f"This transaction is not known on {deps.settings.chain.name} yet. "
            "If it was sent there, try again in a moment; a payment that arrives is found by itself."
        )
    if facts.block_number is None:
        return _unmined(deps.settings, tx_hash)
    _look(deps, facts)
    watch_once(deps)
    return _shown(deps, wallet, tx_hash)


def _look(deps: Deps, facts: TransactionFacts) -> None:
    """Write down what a mined transaction pays us, so that it shows as pending at once."""
    chain = deps.settings.chain
    if not facts.succeeded:
        raise TransactionFailed
    cursor = open_cursor(deps)
    if cursor is None or cursor.stopped_why:
        raise ChainUnavailable
    payments = deps.chain.payments_of(facts.tx_hash)
    if not payments:
        raise NothingForUs
    if (facts.block_number or 0) < chain.start_block:
        raise NothingForUs("This transaction was made before this platform began to take payments.")
    with deps.database.begin() as db:
        locked_cursor(db, chain.chain_id)
        for payment in payments:
            record(db, chain.chain_id, payment, deps.clock.now_ms(), in_chain=False)


def _unmined(settings: Settings, tx_hash: str) -> DepositView:
    required = settings.chain.confirmations
    message = "Sent, not mined yet. " + pending_text(0, required)
    return DepositView(tx_hash, "seen", 0, required, None, None, None, None, message, yours=False)


def _shown(deps: Deps, wallet: str, tx_hash: str) -> DepositView:
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == deps.settings.chain.chain_id, MoneyEvent.tx_hash == tx_hash
    )
    with deps.database.begin() as db:
        views = _views(db, deps.settings, wallet, db.exec(query.order_by(col(MoneyEvent.id))))
    return next((view for view in views if view.yours), views[0])


def list_deposits(deps: Deps, wallet: str) -> list[DepositView]:
    """The wallet's deposits, newest first; reads the database only."""
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == deps.settings.chain.chain_id, MoneyEvent.payer == wallet.lower()
    )
    with deps.database.begin() as db:
        rows = db.exec(query.order_by(col(MoneyEvent.id).desc()).limit(LISTED))
        return _views(db, deps.settings, wallet, rows)


def _views(db: Session, settings: Settings, wallet: str, rows: Iterable[MoneyEvent]) -> list[DepositView]:
    cursor = db.get(ChainCursor, settings.chain.chain_id)
    height = cursor.block_number if cursor else 0
    return [_view(settings, wallet.lower(), height, row) for row in rows]


def _view(settings: Settings, wallet: str, height: int, event: MoneyEvent) -> DepositView:
    required = settings.chain.confirmations
    # A block above the cursor has been seen in the chain by one look: that is one confirmation.
    confirmations = min(max(height - event.block_number + 1, 1), required)
    yours = event.payer == wallet
    message = _message(settings, event, confirmations)
    if not yours:
        message = f"This deposit belongs to {short(event.payer)}, the wallet that paid it. {message}"
    return DepositView(
        tx_hash=event.tx_hash,
        state=event.state,
        confirmations=0 if event.state in {"orphaned", "reversed"} else confirmations,
        required=required,
        asset=event.asset,
        amount=int(event.amount),
        credited_gpu_ms=event.credited_gpu_ms,
        payer=event.payer,
        message=message,
        yours=yours,
    )


def _message(settings: Settings, event: MoneyEvent, confirmations: int) -> str:
    if event.state in OPEN and event.state != "price_pending":
        return pending_text(confirmations, settings.chain.confirmations)
    return state_text(
        event.state,
        asset=event.asset,
        amount=int(event.amount),
        decimals=decimals_of(settings, event.asset),
        credited_gpu_ms=event.credited_gpu_ms or 0,
        minimum=int(event.evidence.get("minimum", 0)),
    )

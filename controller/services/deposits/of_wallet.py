"""Deposits as a wallet asks for them: the list, and what a pasted transaction hash amounts to.

A pasted hash is a hint, never a claim: the credit goes to the payer on chain, by the watcher's own code.
"""

from __future__ import annotations

from contextlib import suppress

from sqlmodel import col, or_, select

from controller.domain.deposits import normalise_tx_hash
from controller.errors import (
    BadInput,
    ChainUnavailable,
    NothingForUs,
    PaymentsHeld,
    TransactionFailed,
    UnsupportedToken,
)
from controller.models import MoneyEvent
from controller.services.deposits import unmined
from controller.services.deposits.events import locked_cursor
from controller.services.deposits.record import record
from controller.services.deposits.views import DepositView, views
from controller.services.deposits.watch import BLOCKS_PER_HINT, open_cursor, watch_once
from controller.services.deps import Deps
from controller.services.ports import TransactionFacts
from controller.services.pricing.payment_addresses import require_accepted
from controller.settings_money import Chain

__all__ = ["DepositView", "hint", "list_deposits", "watch_once"]

LISTED = 100


def hint(deps: Deps, wallet: str, tx_hash: str) -> DepositView:
    """Look at one transaction now instead of at the watcher's next step.

    Args:
        deps: ports and settings.
        wallet: who asks, lower case; decides only which of the transaction's payments is shown.
        tx_hash: as pasted, with or without 0x, in any case.

    Returns:
        the wallet's own payment in the transaction, else the first one, with `yours` False; for one that
        no block holds, whether it waits, was replaced or was dropped.

    Raises:
        BadInput: this is no transaction hash.
        DepositNotFound: no configured chain knows it (yet).
        TransactionFailed: it was mined and failed.
        UnsupportedToken: it sent us a token that is not taken.
        NothingForUs: it pays nothing to a revenue wallet, or was made before this platform watched.
        ChainUnavailable: a chain cannot be read, or is not ours.
        PaymentsHeld: where payments go was changed and not yet approved.
    """
    try:
        tx_hash = normalise_tx_hash(tx_hash)
    except ValueError as error:
        raise BadInput(f"This is not a transaction hash: {error}.", field="tx_hash") from error
    known = _known_on(deps, tx_hash)
    if known is not None:
        with suppress(ChainUnavailable, PaymentsHeld):  # what is written down can be shown without the chain
            require_accepted(deps)
            watch_once(deps, known, at_most=BLOCKS_PER_HINT)
        return _shown(deps, wallet, tx_hash)
    require_accepted(deps)
    found = unmined.find(deps, tx_hash)
    if found is None:
        return unmined.unknown(deps, tx_hash)
    chain, facts = found
    if facts.block_number is None:
        return unmined.waiting(deps, chain, facts)
    _look(deps, chain, facts)
    watch_once(deps, chain.chain_id, at_most=BLOCKS_PER_HINT)
    return _shown(deps, wallet, tx_hash)


def _known_on(deps: Deps, tx_hash: str) -> int | None:
    ids = [chain.chain_id for chain in deps.settings.chains]
    query = select(MoneyEvent.chain_id).where(
        MoneyEvent.tx_hash == tx_hash, col(MoneyEvent.chain_id).in_(ids)
    )
    with deps.database.begin() as db:
        return db.exec(query).first()


def _look(deps: Deps, chain: Chain, facts: TransactionFacts) -> None:
    """Write down what a mined transaction pays us, so that it shows as pending at once."""
    if not facts.succeeded:
        raise TransactionFailed
    cursor = open_cursor(deps, chain.chain_id)
    if cursor is None or cursor.stopped_why:
        raise ChainUnavailable
    reader = deps.chains[chain.chain_id]
    payments = reader.payments_of(facts.tx_hash)
    if not payments:
        raise _nothing(reader.unsupported_tokens_of(facts.tx_hash), chain)
    if (facts.block_number or 0) < chain.start_block:
        raise NothingForUs("This transaction was made before this platform began to take payments.")
    with deps.database.begin() as db:
        locked_cursor(db, chain.chain_id)
        for payment in payments:
            record(db, chain.chain_id, payment, deps.clock.now_ms(), in_chain=False)


def _nothing(tokens: list[str], chain: Chain) -> NothingForUs:
    if tokens:
        return UnsupportedToken(
            f"This transaction sent a token that is not accepted: {', '.join(tokens)} on {chain.name}. "
            "It is not credited; ask the operator.",
            tokens=tokens,
        )
    return NothingForUs(f"This transaction on {chain.name} pays nothing to the revenue wallet.")


def _shown(deps: Deps, wallet: str, tx_hash: str) -> DepositView:
    query = select(MoneyEvent).where(MoneyEvent.tx_hash == tx_hash)
    with deps.database.begin() as db:
        found = views(db, deps.settings, wallet, db.exec(query.order_by(col(MoneyEvent.id))))
    return next((view for view in found if view.yours), found[0])


def list_deposits(deps: Deps, wallet: str) -> list[DepositView]:
    """The wallet's deposits on all chains, newest first; reads the database only."""
    wallet = wallet.lower()
    query = select(MoneyEvent).where(or_(MoneyEvent.payer == wallet, MoneyEvent.beneficiary == wallet))
    with deps.database.begin() as db:
        rows = db.exec(query.order_by(col(MoneyEvent.id).desc()).limit(LISTED))
        return views(db, deps.settings, wallet, rows)

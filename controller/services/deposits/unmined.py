"""Transactions that no block holds: looked up on every chain, and told apart - waiting, replaced, dropped.

Only a transaction that a node shows in its pool is remembered, for a week; an unknown hash writes nothing
and costs at most two questions per chain.
"""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from controller.domain.deposits import dropped_text, replaced_text, sent_text
from controller.errors import ChainUnavailable, DepositNotFound
from controller.models import MoneyEvent, SentTransaction
from controller.services.deposits.views import DepositView, not_mined
from controller.services.deps import Deps
from controller.services.ports import TransactionFacts
from controller.settings_money import Chain

REMEMBERED_MS = 7 * 86_400_000


def find(deps: Deps, tx_hash: str) -> tuple[Chain, TransactionFacts] | None:
    """The chain that knows a transaction, the home chain first; None where no chain does.

    Raises:
        ChainUnavailable: none of those that answer knows it, and one does not answer.
    """
    silent = []
    for chain in deps.settings.chains:
        try:
            facts = deps.chains[chain.chain_id].transaction(tx_hash)
        except ChainUnavailable:
            silent.append(chain.name)
            continue
        if facts.known:
            return chain, facts
    if silent:
        raise ChainUnavailable(
            f"{' and '.join(silent)} cannot be read right now. Deposits are safe and will be credited later."
        )
    return None


def waiting(deps: Deps, chain: Chain, facts: TransactionFacts) -> DepositView:
    """A transaction in the pool; it is remembered, so that it can be told later what became of it."""
    now_ms = deps.clock.now_ms()
    since_ms = now_ms
    if facts.sender is not None and facts.nonce is not None:
        since_ms = _remember(deps, chain, facts, now_ms)
    message = sent_text(chain.confirmations, now_ms - since_ms)
    return not_mined(chain, facts.tx_hash, "seen", message)


def _remember(deps: Deps, chain: Chain, facts: TransactionFacts, now_ms: int) -> int:
    made = insert(SentTransaction).values(
        chain_id=chain.chain_id,
        tx_hash=facts.tx_hash,
        sender=facts.sender,
        nonce=facts.nonce,
        seen_at_ms=now_ms,
    )
    old = delete(SentTransaction).where(col(SentTransaction.seen_at_ms) < now_ms - REMEMBERED_MS)
    with deps.database.begin() as db:
        db.execute(old)
        db.execute(made.on_conflict_do_nothing())
        return db.get_one(SentTransaction, (chain.chain_id, facts.tx_hash)).seen_at_ms


def unknown(deps: Deps, tx_hash: str) -> DepositView:
    """What became of a transaction that no chain knows now, if it was seen in a pool before.

    Raises:
        DepositNotFound: it never was.
        ChainUnavailable: the chain cannot say which nonce its sender has come to.
    """
    with deps.database.begin() as db:
        sent = db.exec(select(SentTransaction).where(SentTransaction.tx_hash == tx_hash)).first()
    chains = {chain.chain_id: chain for chain in deps.settings.chains}
    if sent is None or sent.chain_id not in chains:
        names = " or ".join(chain.name for chain in deps.settings.chains)
        raise DepositNotFound(
            f"This transaction is not known on {names} yet. "
            "If it was sent there, try again in a moment; a payment that arrives is found by itself."
        )
    chain = chains[sent.chain_id]
    if deps.chains[chain.chain_id].next_nonce(sent.sender) <= sent.nonce:
        return not_mined(chain, tx_hash, "dropped", dropped_text(deps.clock.now_ms() - sent.seen_at_ms))
    same = (MoneyEvent.chain_id == chain.chain_id) & (MoneyEvent.sender == sent.sender)
    with deps.database.begin() as db:
        by = db.exec(select(MoneyEvent.tx_hash).where(same, MoneyEvent.nonce == sent.nonce)).first()
    return not_mined(chain, tx_hash, "replaced", replaced_text(by))

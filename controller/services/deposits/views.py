"""Deposits as people read them: one line per state, with confirmations, what is missing, and for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, func, select

from controller.domain.deposits import Told, pending_text, short, state_text
from controller.models import ChainCursor, MoneyEvent
from controller.services.deposits.value import decimals_of
from controller.settings import Settings
from controller.settings_money import Chain

UNCONFIRMED = ("orphaned", "reversed")


@dataclass(frozen=True)
class DepositView:
    """One money event, or a transaction that is not mined yet (`asset`, `amount` and `payer` are None).

    `state` is a state of `models.money`, or `replaced` or `dropped` for a transaction that was never mined;
    `confirmations` counts up to `required`; `amount` is in the asset's smallest unit; `message` is what the
    user reads; `yours` says whether the wallet asked for paid it, or was given it.
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
    chain_id: int = 0
    chain_name: str = ""
    position: str | None = None


def not_mined(chain: Chain, tx_hash: str, state: str, message: str) -> DepositView:
    """A transaction that no block holds."""
    required = chain.confirmations
    return DepositView(
        tx_hash,
        state,
        0,
        required,
        None,
        None,
        None,
        None,
        message,
        yours=False,
        chain_id=chain.chain_id,
        chain_name=chain.name,
    )


def views(db: Session, settings: Settings, wallet: str, rows: Iterable[MoneyEvent]) -> list[DepositView]:
    """Money events as a wallet sees them; those of chains no longer configured are left out."""
    chains = {chain.chain_id: chain for chain in settings.chains}
    return [
        _view(db, settings, chains[row.chain_id], wallet.lower(), row)
        for row in rows
        if row.chain_id in chains
    ]


def _view(db: Session, settings: Settings, chain: Chain, wallet: str, event: MoneyEvent) -> DepositView:
    cursor = db.get(ChainCursor, chain.chain_id)
    height = cursor.block_number if cursor else 0
    # A block above the cursor has been seen in the chain by one look: that is one confirmation.
    confirmations = min(max(height - event.block_number + 1, 1), chain.confirmations)
    yours = wallet in {event.payer, event.beneficiary}
    message = _message(db, settings, chain, event, confirmations)
    if not yours:
        message = f"This deposit belongs to {short(event.payer)}, the wallet that paid it. {message}"
    topped = int((event.evidence.get("top_up") or {}).get("gpu_ms", 0))
    credited = event.credited_gpu_ms
    return DepositView(
        tx_hash=event.tx_hash,
        state=event.state,
        confirmations=0 if event.state in UNCONFIRMED else confirmations,
        required=chain.confirmations,
        asset=event.asset,
        amount=int(event.amount),
        credited_gpu_ms=None if credited is None else credited + topped,
        payer=event.payer,
        message=message,
        yours=yours,
        chain_id=chain.chain_id,
        chain_name=chain.name,
        position=event.position,
    )


def _message(db: Session, settings: Settings, chain: Chain, event: MoneyEvent, confirmations: int) -> str:
    if event.state in {"seen", "confirming"} and not event.waits_why:
        return pending_text(confirmations, chain.confirmations)
    minimum = int(event.evidence.get("minimum", 0))
    topped = int((event.evidence.get("top_up") or {}).get("gpu_ms", 0))
    return state_text(
        Told(
            state="confirming" if event.state == "seen" else event.state,
            asset=event.asset,
            amount=int(event.amount),
            decimals=decimals_of(settings, event.asset),
            chain=chain.name,
            credited_gpu_ms=(event.credited_gpu_ms or 0) + topped,
            minimum=minimum,
            missing=max(minimum - _gathered(db, event), 0) if event.state == "below_min" else 0,
            waits_why=event.waits_why,
            to=event.beneficiary if event.beneficiary != event.payer else None,
        )
    )


def _gathered(db: Session, event: MoneyEvent) -> int:
    """All that the payer has below the minimum so far, of this asset and chain."""
    query = select(func.sum(MoneyEvent.amount)).where(
        MoneyEvent.chain_id == event.chain_id,
        MoneyEvent.payer == event.payer,
        MoneyEvent.asset == event.asset,
        MoneyEvent.state == "below_min",
    )
    return int(db.exec(query).one() or 0)

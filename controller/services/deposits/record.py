"""Writes payments down, once each: every way that detects money - watcher, pasted hash - ends here."""

from __future__ import annotations

from sqlmodel import Session, select

from controller.models import MoneyEvent, X402Payment
from controller.services.deposits import events
from controller.services.deposits.drop import drop
from controller.services.ports import Payment


def record(
    db: Session, chain_id: int, payment: Payment, now_ms: int, *, in_chain: bool, doubtful: bool = False
) -> bool:
    """Write a payment down, once, whatever finds it and however often.

    Args:
        db: a transaction that holds the cursor.
        chain_id: of the chain.
        payment: what was paid, with its block.
        now_ms: the instant of the transition.
        in_chain: the watcher read it in its own chain of headers; a hint's word weighs less and
            never moves an event that is already known, or settles one.
        doubtful: the token's own balances do not bear its log out.

    Returns:
        whether anything changed.
    """
    event = _known(db, chain_id, payment)
    if event is not None and not in_chain:
        return False
    if event is None:
        event = _new(db, chain_id, payment, now_ms)
        if not in_chain:
            return True
    moved = event.block_hash != payment.block_hash
    if event.unwatched and not moved:
        event.unwatched = False
        db.add(event)
        db.flush()
    if moved and event.state not in events.GONE:
        drop(db, [event], "mined again in another block", now_ms)
    if event.state not in {*events.GONE, "seen"}:
        return False
    event.block_number, event.block_hash = payment.block_number, payment.block_hash
    event.payer, event.amount = payment.payer, payment.amount
    if doubtful:
        event.evidence = {**event.evidence, "doubtful": True}
    why = "mined again" if event.state in events.GONE else "read by the watcher"
    events.move(db, event, "confirming", why, now_ms)
    return True


def _known(db: Session, chain_id: int, payment: Payment) -> MoneyEvent | None:
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id,
        MoneyEvent.tx_hash == payment.tx_hash,
        MoneyEvent.position == payment.position,
    )
    return db.exec(query).one_or_none()


def _rail(db: Session, chain_id: int, payment: Payment) -> str:
    """Whether the payment is one that we ourselves put on the chain."""
    ours = select(X402Payment.id).where(
        X402Payment.chain_id == chain_id,
        X402Payment.tx_hash == payment.tx_hash,
        X402Payment.payer == payment.payer,
    )
    return "x402" if payment.asset == "usdc" and db.exec(ours).first() is not None else ""


def _new(db: Session, chain_id: int, payment: Payment, now_ms: int) -> MoneyEvent:
    event = MoneyEvent(
        chain_id=chain_id,
        tx_hash=payment.tx_hash,
        position=payment.position,
        recipient=payment.recipient,
        sender=payment.sender,
        nonce=payment.nonce,
        asset=payment.asset,
        payer=payment.payer,
        amount=payment.amount,
        block_number=payment.block_number,
        block_hash=payment.block_hash,
        state="seen",
        seen_at_ms=now_ms,
        rail=_rail(db, chain_id, payment),
        evidence={},
    )
    db.add(event)
    db.flush()
    events.note(db, event, "seen", "found on the chain", now_ms)
    return event

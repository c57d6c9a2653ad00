"""Money events and their transitions: recorded once, booked in the journal, undone by contra entries.

Whoever writes here holds the chain's cursor row (`locked_cursor`), so events of one chain change one
after another. Every row that detects money - watcher, pasted hash - ends in `record`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.domain.deposits import CREDITED
from controller.domain.ledger import Posting, deposit_key, user_account
from controller.models import ChainCursor, MoneyEvent, MoneyEventTransition, Wallet
from controller.services.alerts import about_events, clear_alert
from controller.services.ledger import post
from controller.services.ports import Payment

GONE = ("orphaned", "reversed")


def locked_cursor(db: Session, chain_id: int) -> ChainCursor | None:
    """The chain's cursor, locked until the transaction ends; None before the watcher's first step."""
    query = select(ChainCursor).where(ChainCursor.chain_id == chain_id).with_for_update()
    return db.exec(query).one_or_none()


def subject(event: MoneyEvent) -> str:
    """How alerts name an event."""
    return f"{event.tx_hash} {event.position}"


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
    if moved and event.state not in GONE:
        orphan(db, event, "mined again in another block", now_ms)
    if event.state not in {*GONE, "seen"}:
        return False
    event.block_number, event.block_hash = payment.block_number, payment.block_hash
    event.payer, event.amount = payment.payer, payment.amount
    if doubtful:
        event.evidence = {**event.evidence, "doubtful": True}
    why = "mined again" if event.state in GONE else "read by the watcher"
    move(db, event, "confirming", why, now_ms)
    return True


def _known(db: Session, chain_id: int, payment: Payment) -> MoneyEvent | None:
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id,
        MoneyEvent.tx_hash == payment.tx_hash,
        MoneyEvent.position == payment.position,
    )
    return db.exec(query).one_or_none()


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
        evidence={},
    )
    db.add(event)
    db.flush()
    _note(db, event, "seen", "found on the chain", now_ms)
    return event


def move(db: Session, event: MoneyEvent, to_state: str, why: str, now_ms: int) -> None:
    """Change an event's state and write the transition down."""
    _note(db, event, to_state, why, now_ms)
    event.state = to_state
    db.add(event)
    db.flush()


def _note(db: Session, event: MoneyEvent, to_state: str, why: str, now_ms: int) -> None:
    assert event.id is not None
    from_state = event.state if event.state != to_state else None
    db.add(
        MoneyEventTransition(
            event_id=event.id, at_ms=now_ms, from_state=from_state, to_state=to_state, why=why
        )
    )


def key_of(event: MoneyEvent) -> str:
    """The key of the event's credit; a deposit mined again after a reversal has a new one."""
    generation = event.evidence.get("generation", 1)
    return deposit_key(event.chain_id, event.tx_hash, event.position, generation)


def _side(event: MoneyEvent, family: str) -> str:
    return f"{family}:{event.chain_id}:{event.asset}"


def book_tokens(db: Session, event: MoneyEvent, family: str, now_ms: int) -> None:
    """Book the tokens as received for someone (`received`) or kept for nobody yet (`suspense`), once."""
    booked = event.evidence.get("booked")
    if booked == family:
        return
    source, suffix = (_side(event, booked), "attributed") if booked else (_side(event, "chain"), "asset")
    moved = Posting(f"{key_of(event)}:{suffix}", suffix, source, _side(event, family), int(event.amount))
    post(db, at_ms=now_ms, transfers=[moved])
    event.evidence = {**event.evidence, "booked": family}


def credit(db: Session, event: MoneyEvent, now_ms: int) -> None:
    """Give the payer what the event's evidence says it is worth; the caller has checked that it is due."""
    key, gpu_ms = key_of(event), int(event.evidence["gpu_ms"])
    db.execute(insert(Wallet).values(address=event.payer, created_at_ms=now_ms).on_conflict_do_nothing())
    book_tokens(db, event, "received", now_ms)
    if gpu_ms:
        source, target = f"issued:{event.asset}", user_account(event.payer)
        post(
            db,
            at_ms=now_ms,
            transfers=[Posting(key, "deposit", source, target, gpu_ms, credit_evidence(event))],
        )
    event.credited_gpu_ms, event.transfer_key = gpu_ms, key if gpu_ms else None
    move(db, event, "credited", f"{gpu_ms} GPU-ms to {event.payer}", now_ms)


def credit_evidence(event: MoneyEvent) -> dict[str, Any]:
    """All that is needed to recompute a credit from the chain: the event's facts, price, tier and terms."""
    return {**event.evidence, **facts(event)}


def facts(event: MoneyEvent) -> dict[str, Any]:
    """What the chain says of an event, as plain JSON."""
    return {
        "chain_id": event.chain_id,
        "tx_hash": event.tx_hash,
        "position": event.position,
        "asset": event.asset,
        "payer": event.payer,
        "amount": str(event.amount),
        "block_number": event.block_number,
        "block_hash": event.block_hash,
    }


def orphan(db: Session, event: MoneyEvent, why: str, now_ms: int) -> None:
    """Take back what was booked for an event whose block is no longer part of the chain.

    The user's account may go below zero by it, the only way it can; a repeated call has no effect.
    """
    if event.state in GONE:
        return
    key, contra = key_of(event), []
    if event.state in CREDITED and event.credited_gpu_ms:
        user, issued = user_account(event.beneficiary or event.payer), f"issued:{event.asset}"
        taken = {"reverses": key, "why": why, "tx_hash": event.tx_hash, "block_hash": event.block_hash}
        contra.append(
            Posting(f"rev:{key}", "reversal", user, issued, event.credited_gpu_ms, taken, may_overdraw=True)
        )
        topped = event.evidence.get("top_up") or {}
        if topped.get("key"):
            taken = {**taken, "reverses": topped["key"]}
            back = (f"rev:{topped['key']}", "reversal", user, issued, int(topped["gpu_ms"]), taken)
            contra.append(Posting(*back, may_overdraw=True))
    booked = event.evidence.get("booked")
    if booked:
        sides = (_side(event, booked), _side(event, "chain"))
        contra.append(Posting(f"rev:{key}:asset", "asset-reversal", *sides, int(event.amount)))
    post(db, at_ms=now_ms, transfers=contra)
    to_state = "reversed" if event.state in CREDITED else "orphaned"
    # What was booked has used up its keys; if the deposit comes back, it is booked under new ones.
    generation = event.evidence.get("generation", 1) + bool(booked)
    event.evidence = {"generation": generation}
    event.credited_gpu_ms = event.transfer_key = event.waits_why = event.look_again_ms = None
    event.noted = event.top_up_due = False
    for kind in about_events():
        clear_alert(db, kind, subject(event), now_ms)
    move(db, event, to_state, why, now_ms)


def in_blocks_above(db: Session, chain_id: int, number: int) -> list[MoneyEvent]:
    """The chain's events that are mined above a height, those already gone left out."""
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id,
        MoneyEvent.block_number > number,
        col(MoneyEvent.state).not_in(GONE),
    )
    return list(db.exec(query.order_by(col(MoneyEvent.id))))

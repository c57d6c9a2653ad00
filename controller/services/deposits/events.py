"""Money events and their transitions: moved, booked in the journal, credited.

Whoever writes here holds the chain's cursor row (`locked_cursor`), so events of one chain change one
after another. `record` writes down what is found, `drop` takes back what is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.domain.ledger import Posting, deposit_key, user_account
from controller.models import ChainCursor, MoneyEvent, MoneyEventTransition, Wallet
from controller.services.money.ledger import post

GONE = ("orphaned", "reversed")


def locked_cursor(db: Session, chain_id: int) -> ChainCursor | None:
    """The chain's cursor, locked until the transaction ends; None before the watcher's first step."""
    query = select(ChainCursor).where(ChainCursor.chain_id == chain_id).with_for_update()
    return db.exec(query).one_or_none()


def subject(event: MoneyEvent) -> str:
    """How alerts name an event."""
    return f"{event.tx_hash} {event.position}"


def move(db: Session, event: MoneyEvent, to_state: str, why: str, now_ms: int) -> None:
    """Change an event's state and write the transition down."""
    note(db, event, to_state, why, now_ms)
    event.state = to_state
    db.add(event)
    db.flush()


def note(db: Session, event: MoneyEvent, to_state: str, why: str, now_ms: int) -> None:
    """Write a transition down without making it; a new event's first one has no state before it."""
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


def side(event: MoneyEvent, family: str) -> str:
    """The account of a family that counts the event's tokens."""
    return f"{family}:{event.chain_id}:{event.asset}"


def book_tokens(db: Session, event: MoneyEvent, family: str, now_ms: int) -> None:
    """Book the tokens as received for someone (`received`) or kept for nobody yet (`suspense`), once."""
    booked = event.evidence.get("booked")
    if booked == family:
        return
    source, suffix = (side(event, booked), "attributed") if booked else (side(event, "chain"), "asset")
    moved = Posting(f"{key_of(event)}:{suffix}", suffix, source, side(event, family), int(event.amount))
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


def credit_together(db: Session, due: Sequence[MoneyEvent], minimum: int, now_ms: int) -> None:
    """Credit deposits that reach the minimum only together; each remembers with which."""
    if len(due) > 1:
        mark = {"by": key_of(due[-1]), "minimum": str(minimum)}
        for event in due:
            event.evidence = {**event.evidence, "together": mark}
    for event in due:
        credit(db, event, now_ms)


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


def in_blocks_above(db: Session, chain_id: int, number: int) -> list[MoneyEvent]:
    """The chain's events that are mined above a height, those already gone left out."""
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id,
        MoneyEvent.block_number > number,
        col(MoneyEvent.state).not_in(GONE),
    )
    return list(db.exec(query.order_by(col(MoneyEvent.id))))

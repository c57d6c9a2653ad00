"""Takes back what was booked for events whose blocks are gone, by contra entries; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, select

from controller.domain.deposits import CREDITED
from controller.domain.ledger import Posting, user_account
from controller.models import MoneyEvent
from controller.services.alerts import about_events, clear_alert
from controller.services.deposits import events
from controller.services.money.ledger import post

PARTED = "the deposits it reached the minimum with are gone"


def drop(db: Session, gone: Sequence[MoneyEvent], why: str, now_ms: int) -> None:
    """Take back what was booked for events whose blocks are no longer part of the chain.

    Deposits that reached the minimum only together with one of them go back below it. A user's account may
    go below zero by this, the only way it can; a repeated call has no effect.

    Args:
        db: a transaction that holds the cursor.
        gone: events of one chain.
        why: for their transitions.
        now_ms: the instant of the entries.
    """
    marks = [event.evidence["together"] for event in gone if "together" in event.evidence]
    for event in gone:
        if event.state not in events.GONE:
            _drop(db, event, why, now_ms)
    for mark in {mark["by"]: mark for mark in marks}.values():
        _part(db, gone[0].chain_id, mark, now_ms)


def _drop(db: Session, event: MoneyEvent, why: str, now_ms: int) -> None:
    to_state = "reversed" if event.state in CREDITED else "orphaned"
    _take_back(db, event, why, now_ms, {})
    for kind in about_events():
        clear_alert(db, kind, events.subject(event), now_ms)
    event.noted = event.top_up_due = event.unwatched = False
    event.waits_why = event.look_again_ms = None
    events.move(db, event, to_state, why, now_ms)


def _take_back(db: Session, event: MoneyEvent, why: str, now_ms: int, keep: dict[str, Any]) -> None:
    """Undo the event's bookings; their keys are used up, so a later booking is a new generation."""
    key, contra = events.key_of(event), []
    if event.state in CREDITED and event.credited_gpu_ms:
        contra += _contra(event, key, why)
    booked = event.evidence.get("booked")
    if booked:
        sides = (events.side(event, booked), events.side(event, "chain"))
        contra.append(Posting(f"rev:{key}:asset", "asset-reversal", *sides, int(event.amount)))
    post(db, at_ms=now_ms, transfers=contra)
    event.evidence = {**keep, "generation": event.evidence.get("generation", 1) + bool(booked)}
    event.credited_gpu_ms = event.transfer_key = None


def _contra(event: MoneyEvent, key: str, why: str) -> list[Posting]:
    """The credit back from the user, and its top-up where it had one."""
    user, issued = user_account(event.beneficiary or event.payer), f"issued:{event.asset}"
    told = {"why": why, "tx_hash": event.tx_hash, "block_hash": event.block_hash}
    given = {key: event.credited_gpu_ms or 0}
    topped = event.evidence.get("top_up") or {}
    if topped.get("key"):
        given[topped["key"]] = int(topped["gpu_ms"])
    return [
        Posting(f"rev:{of}", "reversal", user, issued, gpu_ms, {**told, "reverses": of}, may_overdraw=True)
        for of, gpu_ms in given.items()
    ]


def _part(db: Session, chain_id: int, mark: dict[str, Any], now_ms: int) -> None:
    """Bring the rest of deposits that counted together back below the minimum, if it no longer reaches it."""
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id,
        col(MoneyEvent.evidence)["together"]["by"].astext == mark["by"],
        col(MoneyEvent.state).in_(CREDITED),
    )
    rest = list(db.exec(query.order_by(col(MoneyEvent.id))))
    if sum(int(event.amount) for event in rest) >= int(mark["minimum"]):
        return
    for event in rest:
        if event.state == "credited":  # what is final stays
            terms = {k: v for k, v in event.evidence.items() if k not in {"together", "booked", "top_up"}}
            _take_back(db, event, PARTED, now_ms, terms)
            event.top_up_due = "unknown" in (terms.get("holding") or {})
            events.book_tokens(db, event, "suspense", now_ms)
            events.move(db, event, "below_min", PARTED, now_ms)

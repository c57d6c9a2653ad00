"""Money that waits for somebody: what there is, and how an operator's word with evidence resolves it.

An event is assigned to a wallet, or marked returned once the chain shows the refund. Either takes an event
whose block is final, so that no reorganisation meets a resolved one. `ledger_requests` decides whether a
second operator must approve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.domain.deposits import normalise_tx_hash
from controller.domain.ledger import Posting, user_account
from controller.domain.operator_entries import Entry, entry_key
from controller.errors import BadInput, EntryRefused
from controller.models import LedgerRequest, MoneyEvent, Wallet
from controller.services.deposits import events
from controller.services.deps import Deps
from controller.services.money.ledger import post
from controller.services.money.suspense_chain import OnChain

WAITING = ("unattributed", "below_min", "wrong_asset", "price_pending")
LISTED = 500


@dataclass(frozen=True)
class SuspenseView:
    """One event that nobody was credited for; `amount` is in the asset's smallest unit."""

    event_id: int
    chain_id: int
    tx_hash: str
    position: str
    asset: str
    amount: int
    payer: str
    state: str
    why: str
    seen_at_ms: int


def waiting(deps: Deps) -> list[SuspenseView]:
    """What waits, oldest first."""
    query = select(MoneyEvent).where(col(MoneyEvent.state).in_(WAITING)).order_by(col(MoneyEvent.id))
    with deps.database.begin() as db:
        return [_view(event) for event in db.exec(query.limit(LISTED))]


def lock(db: Session, entry: Entry) -> None:
    """Keep the event's chain still until the transaction ends; before the journal's lock, as everywhere."""
    if entry.event_id is not None:
        events.locked_cursor(db, _event(db, entry.event_id).chain_id)


def check(db: Session, entry: Entry, on_chain: OnChain | None, *, itself: bool) -> None:
    """Whether the event can be resolved this way, now.

    Args:
        db: open transaction.
        entry: an `assign` or `return`.
        on_chain: what `look` found.
        itself: the entry is known already, and does not stand in its own way.

    Raises:
        EntryRefused: with the reason.
    """
    event = _event(db, entry.event_id or 0)
    if event.state not in WAITING:
        raise EntryRefused(f"This event is {event.state}; only one that waits can be resolved.")
    if on_chain is None or on_chain.block_hash != event.block_hash:
        raise EntryRefused("The event's block is not part of the chain.")
    if on_chain.final_number < event.block_number:
        raise EntryRefused("The event's block is not final yet; wait until no reorganisation can drop it.")
    if entry.kind == "assign" and entry.gpu_ms <= 0:
        raise BadInput("Say how many minutes the wallet is given.")
    other = select(LedgerRequest.request_id).where(
        LedgerRequest.event_id == event.id, LedgerRequest.state != "refused"
    )
    if not itself and (found := db.exec(other).first()):
        raise EntryRefused(f"Another entry is about this event: {found}.")


def settle(db: Session, entry: Entry, on_chain: OnChain | None, why: dict[str, Any], now_ms: int) -> None:
    """Write the resolution: the journal's transfers, and the event's new state.

    Raises:
        EntryRefused: the refund's transaction was used for another event.
    """
    event = _event(db, entry.event_id or 0)
    if entry.kind == "assign":
        worth_of = on_chain.worth if on_chain and on_chain.worth else {}
        _assign(db, event, entry, {**worth_of, **facts(event), **why}, now_ms)
        return
    events.book_tokens(db, event, "suspense", now_ms)
    refund = normalise_tx_hash(entry.proof)
    key = f"return:{event.chain_id}:{event.asset}:{refund}:{int(event.amount)}"
    source = f"suspense:{event.chain_id}:{event.asset}"
    target = f"returned:{event.chain_id}:{event.asset}"
    told = {**facts(event), **why, "refund_tx": refund}
    sent = Posting(key, "return", source, target, int(event.amount), told)
    # A refund counts once: the same key with the same amount would pass for a repetition.
    if not post(db, at_ms=now_ms, transfers=[sent]):
        raise EntryRefused("This refund was counted for another event already.")
    event.evidence = {**event.evidence, "booked": "returned"}
    event.transfer_key = key
    events.move(db, event, "returned", f"returned in {refund}", now_ms)


def _assign(db: Session, event: MoneyEvent, entry: Entry, why: dict[str, Any], now_ms: int) -> None:
    wallet, key = str(entry.wallet), entry_key(entry.request_id)
    db.execute(insert(Wallet).values(address=wallet, created_at_ms=now_ms).on_conflict_do_nothing())
    events.book_tokens(db, event, "received", now_ms)
    given = Posting(key, "assign", f"issued:{event.asset}", user_account(wallet), entry.gpu_ms, why)
    post(db, at_ms=now_ms, transfers=[given])
    event.beneficiary, event.credited_gpu_ms, event.transfer_key = wallet, entry.gpu_ms, key
    events.move(db, event, "final", f"assigned to {wallet}", now_ms)


def facts(event: MoneyEvent) -> dict[str, Any]:
    """What the chain says of an event, for the evidence of whatever resolves it."""
    return {"event": event.id, **events.facts(event)}


def describe(db: Session, entry: Entry) -> dict[str, Any]:
    """The event of an entry, for its plan."""
    event = _event(db, entry.event_id or 0)
    return {"state": event.state, **facts(event)}


def _event(db: Session, event_id: int) -> MoneyEvent:
    event = db.get(MoneyEvent, event_id)
    if event is None:
        raise EntryRefused("There is no such money event; see `axonos ledger suspense`.")
    return event


def _view(event: MoneyEvent) -> SuspenseView:
    assert event.id is not None
    return SuspenseView(
        event_id=event.id,
        chain_id=event.chain_id,
        tx_hash=event.tx_hash,
        position=event.position,
        asset=event.asset,
        amount=int(event.amount),
        payer=event.payer,
        state=event.state,
        why=event.waits_why or "",
        seen_at_ms=event.seen_at_ms,
    )

"""Settles money events that have their confirmations: the verdict is read first, then written in one go.

Nothing is asked of the chain inside a transaction. Each event is one transaction of its own that holds
the cursor and checks again what the verdict rests on; a crash at any point leaves the event as it was.
"""

from __future__ import annotations

import logging

from sqlmodel import Session, col, select

from controller.domain.deposits import OPEN
from controller.errors import ChainUnavailable
from controller.models import ChainCursor, ChainHeader, MoneyEvent
from controller.services import deposits_events as events
from controller.services.deposits_value import Verdict, value
from controller.services.deps import Deps
from controller.services.ports import Block

log = logging.getLogger(__name__)


def settle_due(deps: Deps, head: Block) -> int:
    """Settle every open event with enough confirmations under `head`, the cursor's block.

    An event whose price or tier cannot be read stays as it is, and does not hold the others up.

    Returns:
        how many events changed.
    """
    changed = 0
    for event in _due(deps, head):
        try:
            changed += _settle(deps, event, head)
        except ChainUnavailable as error:
            log.warning("deposit %s %s waits: %s", event.tx_hash, event.position, error.message)
    return changed


def _due(deps: Deps, head: Block) -> list[MoneyEvent]:
    chain = deps.settings.chain
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain.chain_id,
        col(MoneyEvent.state).in_(OPEN),
        MoneyEvent.block_number <= head.number - chain.confirmations + 1,
    )
    with deps.database.begin() as db:
        return list(db.exec(query.order_by(col(MoneyEvent.id))))


def _settle(deps: Deps, event: MoneyEvent, head: Block) -> bool:
    at = deps.chain.block(event.block_number)
    verdict = value(deps, event, at, head) if at.hash == event.block_hash else None
    with deps.database.begin() as db:
        return _write(db, deps, event, verdict)


def _write(db: Session, deps: Deps, seen: MoneyEvent, verdict: Verdict | None) -> bool:
    now_ms = deps.clock.now_ms()
    cursor = events.locked_cursor(db, seen.chain_id)
    event = db.get_one(MoneyEvent, seen.id)
    if (event.state, event.block_hash) != (seen.state, seen.block_hash) or not _confirmed(
        cursor, event, deps.settings.chain.confirmations
    ):
        return False
    # The headers are the chain the cursor stands on, so this is the check against one head snapshot.
    header = db.get(ChainHeader, (event.chain_id, event.block_number))
    if header is not None and header.hash != event.block_hash:
        events.orphan(db, event, "its block is not part of the chain", now_ms)
        return True
    if verdict is None or verdict.state == event.state:
        return False
    _apply(db, event, verdict, now_ms)
    return True


def _confirmed(cursor: ChainCursor | None, event: MoneyEvent, confirmations: int) -> bool:
    return (
        cursor is not None
        and cursor.stopped_why is None
        and cursor.block_number - event.block_number + 1 >= confirmations
    )


def _apply(db: Session, event: MoneyEvent, verdict: Verdict, now_ms: int) -> None:
    event.evidence = {**event.evidence, **verdict.evidence}
    waiting = _below_minimum(db, event) if verdict.evidence else []
    reached = sum(int(e.amount) for e in [*waiting, event]) >= verdict.minimum
    if verdict.evidence and reached:
        for due in [*waiting, event]:
            events.credit(db, due, now_ms)
        return
    events.book_tokens(db, event, "suspense", now_ms)
    events.move(db, event, verdict.state, verdict.why, now_ms)


def _below_minimum(db: Session, event: MoneyEvent) -> list[MoneyEvent]:
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == event.chain_id,
        MoneyEvent.payer == event.payer,
        MoneyEvent.asset == event.asset,
        MoneyEvent.state == "below_min",
    )
    return list(db.exec(query.order_by(col(MoneyEvent.id))))


def settle_final(deps: Deps) -> int:
    """Mark credited events final that lie at or below the chain's finalized block; returns how many."""
    chain_id = deps.settings.chain.chain_id
    credited = select(MoneyEvent).where(MoneyEvent.chain_id == chain_id, MoneyEvent.state == "credited")
    with deps.database.begin() as db:
        if db.exec(credited.limit(1)).first() is None:
            return 0
    number = deps.chain.finalized_number()
    with deps.database.begin() as db:
        cursor = events.locked_cursor(db, chain_id)
        if cursor is None or cursor.stopped_why:
            return 0
        due = list(db.exec(credited.where(MoneyEvent.block_number <= min(number, cursor.block_number))))
        for event in due:
            events.move(db, event, "final", f"block {number} is final", deps.clock.now_ms())
    return len(due)

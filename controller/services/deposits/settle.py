"""Settles money events that have their confirmations: the verdict is read first, then written in one go.

Nothing is asked of the chain inside a transaction. Each event is one transaction of its own that holds
the cursor and checks again what the verdict rests on; a crash at any point leaves the event as it was.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlmodel import Session, col, or_, select

from controller.domain.deposits import OPEN
from controller.errors import ChainUnavailable, NodesDisagree, PriceUnavailable
from controller.models import ChainCursor, ChainHeader, MoneyEvent
from controller.services.deposits import events
from controller.services.deposits.agree import needs_agreement, seconded
from controller.services.deposits.apply import apply
from controller.services.deposits.drop import drop
from controller.services.deposits.value import Verdict, value
from controller.services.deps import Deps
from controller.services.ports import Block
from controller.services.sessions.expiry import resume_paid

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Read:
    """All that was read of the chain for one event before it is settled.

    `final_number` is read only where provisional credit is capped; `disagreement` says why two nodes do not
    bear the verdict out.
    """

    at: Block
    verdict: Verdict
    final_number: int | None
    disagreement: str | None


def settle_due(deps: Deps, chain_id: int, head: Block) -> int:
    """Settle every open event with enough confirmations under `head`, the cursor's block.

    An event whose price or tier cannot be read stays as it is, and does not hold the others up.

    Returns:
        how many events changed.
    """
    changed = 0
    for event in _due(deps, chain_id, head):
        try:
            changed += _settle(deps, event)
        except ChainUnavailable as error:
            log.warning("deposit %s %s waits: %s", event.tx_hash, event.position, error.message)
    return changed


def _due(deps: Deps, chain_id: int, head: Block) -> list[MoneyEvent]:
    confirmations = deps.settings.chain_by_id(chain_id).confirmations
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id,
        col(MoneyEvent.state).in_(OPEN),
        MoneyEvent.block_number <= head.number - confirmations + 1,
        or_(col(MoneyEvent.look_again_ms).is_(None), col(MoneyEvent.look_again_ms) <= deps.clock.now_ms()),
    )
    with deps.database.begin() as db:
        return list(db.exec(query.order_by(col(MoneyEvent.id))))


def _settle(deps: Deps, event: MoneyEvent) -> bool:
    read = _read(deps, event)
    with deps.database.begin() as db:
        changed = _write(db, deps, event, read)
        credited = changed and db.get_one(MoneyEvent, event.id).state == "credited"
    if credited:
        resume_paid(deps, event.payer)
    return changed


def _read(deps: Deps, event: MoneyEvent) -> Read | None:
    """What the chain says now; None while its block there is another one."""
    chain = deps.chains[event.chain_id]
    capped = deps.settings.chain_by_id(event.chain_id).provisional_cap_minutes is not None
    final_number = chain.finalized_number() if capped else None  # before the block, which may leave the chain
    at = chain.block(event.block_number)
    if at.hash != event.block_hash:
        return None
    verdict, disagreement = value(deps, event, at), None
    if needs_agreement(deps, event, verdict):
        try:
            verdict = seconded(deps, event, verdict, at)
        except NodesDisagree as error:
            disagreement = error.message
        except PriceUnavailable as error:
            verdict = Verdict("price_pending", error.message, 0, {})
    return Read(at, verdict, final_number, disagreement)


def _write(db: Session, deps: Deps, seen: MoneyEvent, read: Read | None) -> bool:
    now_ms = deps.clock.now_ms()
    cursor = events.locked_cursor(db, seen.chain_id)
    event = db.get_one(MoneyEvent, seen.id)
    confirmations = deps.settings.chain_by_id(seen.chain_id).confirmations
    if (event.state, event.block_hash) != (seen.state, seen.block_hash) or not _confirmed(
        cursor, event, confirmations
    ):
        return False
    # The headers are the chain the cursor stands on, so this is the check against one head snapshot.
    header = db.get(ChainHeader, (event.chain_id, event.block_number))
    if header is not None and header.hash != event.block_hash:
        drop(db, [event], "its block is not part of the chain", now_ms)
        return True
    if event.state == "seen":
        drop(db, [event], "the watcher does not find it in its block", now_ms)
        return True
    if read is None:
        return False
    return apply(
        db,
        deps,
        event,
        read.verdict,
        block_time_s=read.at.timestamp_s,
        final_number=read.final_number,
        disagreement=read.disagreement,
    )


def _confirmed(cursor: ChainCursor | None, event: MoneyEvent, confirmations: int) -> bool:
    return (
        cursor is not None
        and cursor.stopped_why is None
        and cursor.block_number - event.block_number + 1 >= confirmations
    )


def drop_unwatched(deps: Deps, chain_id: int) -> int:
    """Take back what was credited on one receipt and is not in the watcher's chain; returns how many events.

    The watcher reads blocks whole: an event in a block that it is past, and that it did not find there, was
    in another block of that height.
    """
    waiting = select(MoneyEvent).where(MoneyEvent.chain_id == chain_id, col(MoneyEvent.unwatched))
    with deps.database.begin() as db:
        if db.exec(waiting.limit(1)).first() is None:
            return 0
    with deps.database.begin() as db:
        cursor = events.locked_cursor(db, chain_id)
        if cursor is None or cursor.stopped_why:
            return 0
        lost = list(db.exec(waiting.where(MoneyEvent.block_number <= cursor.block_number)))
        drop(db, lost, "the watcher does not find it in its block", deps.clock.now_ms())
    return len(lost)


def settle_final(deps: Deps, chain_id: int) -> int:
    """Mark credited events final that lie at or below the chain's finalized block; returns how many.

    An event whose block left the chain may be credited still, while the watcher is behind: only one whose
    block the chain has, looked at after the finalized number was read, is final.
    """
    credited = select(MoneyEvent).where(MoneyEvent.chain_id == chain_id, MoneyEvent.state == "credited")
    with deps.database.begin() as db:
        if db.exec(credited.limit(1)).first() is None:
            return 0
    chain = deps.chains[chain_id]
    number = chain.finalized_number()
    low_enough = credited.where(MoneyEvent.block_number <= number)
    with deps.database.begin() as db:
        heights = {event.block_number for event in db.exec(low_enough)}
    hashes = [chain.block(height).hash for height in sorted(heights)]
    with deps.database.begin() as db:
        cursor = events.locked_cursor(db, chain_id)
        if cursor is None or cursor.stopped_why:
            return 0
        seen = low_enough.where(MoneyEvent.block_number <= cursor.block_number)
        due = list(db.exec(seen.where(col(MoneyEvent.block_hash).in_(hashes))))
        for event in due:
            events.move(db, event, "final", f"block {number} is final", deps.clock.now_ms())
    return len(due)

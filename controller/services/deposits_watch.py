"""The watcher: reads the chain block by block, follows reorganisations, and has deposits settled.

The cursor moves only over blocks read whole, in one chain of headers linked by parent hash; an error
leaves it where it was. Any number of watchers may run: the one that finds the cursor moved gives up.
Source: payments.md 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.models import ChainCursor, ChainHeader
from controller.services import deposits_events as events
from controller.services.deposits_settle import settle_due, settle_final
from controller.services.deps import Deps
from controller.services.ports import Block, Payment

OTHER_CHAIN = "the node serves another chain: its genesis block is not ours"
TOO_DEEP = "the chain was reorganised deeper than the headers kept"
PAST_FINAL = "the chain was reorganised past a final deposit"
HEADERS_KEPT = 256
BLOCKS_PER_STEP = 64


def watch_once(deps: Deps) -> int:
    """One step of the watcher: follow the chain, read new blocks, settle what is due.

    Returns:
        how many blocks were read and events changed; 0 means there is nothing to do for now.

    Raises:
        ChainUnavailable: the chain could not be read; the cursor stays.
        DatabaseUnavailable: nothing was changed.
    """
    cursor = open_cursor(deps)
    if cursor is None or cursor.stopped_why:
        return 0
    head = deps.chain.head()
    if head.number < cursor.block_number:
        return 0  # a node that lags; a shorter chain shows itself once it grows
    ancestor = _common_ancestor(deps, cursor, head)
    if ancestor is None:
        return _stop(deps, TOO_DEEP)
    if ancestor.number < cursor.block_number and not _rewind(deps, cursor, ancestor):
        return 0
    read, at = _follow(deps, ancestor, head)
    return read + settle_due(deps, at) + settle_final(deps)


def open_cursor(deps: Deps) -> ChainCursor | None:
    """The cursor, made before the first step; `stopped_why` is set on it while the genesis is another.

    Returns None only while another watcher makes it.
    """
    chain = deps.settings.chain
    genesis = deps.chain.genesis_hash()
    same = genesis == chain.genesis_hash
    with deps.database.begin() as db:
        known = events.locked_cursor(db, chain.chain_id)
        if known is not None:
            same = same and known.genesis_hash == genesis
            if known.stopped_why in {None, OTHER_CHAIN}:
                known.stopped_why = None if same else OTHER_CHAIN
            return known
    first = deps.chain.block(max(chain.start_block - 1, 0)) if same else None
    cursor = ChainCursor(
        chain_id=chain.chain_id,
        genesis_hash=chain.genesis_hash,
        block_number=first.number if first else 0,
        block_hash=first.hash if first else chain.genesis_hash,
        stopped_why=None if same else OTHER_CHAIN,
    )
    if first is None:
        return cursor
    with deps.database.begin() as db:
        db.execute(insert(ChainCursor).values(**cursor.model_dump()).on_conflict_do_nothing())
        _keep(db, chain.chain_id, first)
        return events.locked_cursor(db, chain.chain_id)


def _keep(db: Session, chain_id: int, block: Block) -> None:
    values = {"hash": block.hash, "parent_hash": block.parent_hash}
    key = {"chain_id": chain_id, "number": block.number}
    db.execute(
        insert(ChainHeader)
        .values(**key, **values)
        .on_conflict_do_update(index_elements=["chain_id", "number"], set_=values)
    )


def _common_ancestor(deps: Deps, cursor: ChainCursor, head: Block) -> Block | None:
    """The newest block that our headers and the node share; None when none of those kept is."""
    at = head if head.number == cursor.block_number else deps.chain.block(cursor.block_number)
    if at.hash == cursor.block_hash:
        return at
    query = select(ChainHeader).where(
        ChainHeader.chain_id == cursor.chain_id, ChainHeader.number < cursor.block_number
    )
    with deps.database.begin() as db:
        kept = list(db.exec(query.order_by(col(ChainHeader.number).desc())))
    for header in kept:
        at = deps.chain.block(header.number)
        if at.hash == header.hash:
            return at
    return None


def _moved(db: Session, cursor: ChainCursor) -> bool:
    now = events.locked_cursor(db, cursor.chain_id)
    return now is None or (now.block_number, now.block_hash) != (cursor.block_number, cursor.block_hash)


def _rewind(deps: Deps, cursor: ChainCursor, ancestor: Block) -> bool:
    """Take the chain's dropped blocks back; False when that is not ours to do."""
    chain_id, now_ms = cursor.chain_id, deps.clock.now_ms()
    with deps.database.begin() as db:
        if _moved(db, cursor):
            return False
        gone = events.in_blocks_above(db, chain_id, ancestor.number)
        if any(event.state == "final" for event in gone):
            db.get_one(ChainCursor, chain_id).stopped_why = PAST_FINAL
            return False
        for event in gone:
            events.orphan(db, event, "the network dropped its block", now_ms)
        above = (col(ChainHeader.chain_id) == chain_id) & (col(ChainHeader.number) > ancestor.number)
        db.execute(delete(ChainHeader).where(above))
        _stand_on(db, chain_id, ancestor)
    return True


def _stand_on(db: Session, chain_id: int, block: Block) -> None:
    cursor = db.get_one(ChainCursor, chain_id)
    cursor.block_number, cursor.block_hash = block.number, block.hash
    db.add(cursor)
    _keep(db, chain_id, block)
    db.execute(
        delete(ChainHeader).where(
            col(ChainHeader.chain_id) == chain_id, col(ChainHeader.number) <= block.number - HEADERS_KEPT
        )
    )


def _follow(deps: Deps, start: Block, head: Block) -> tuple[int, Block]:
    """Read on from the block the cursor stands on, each block committed whole; how many, and the last."""
    read, before = 0, start
    for block, payments in _linked(deps, start, head):
        if not _take(deps, before, block, payments):
            break
        before, read = block, read + 1
    return read, before


def _linked(deps: Deps, start: Block, head: Block) -> Iterator[tuple[Block, list[Payment]]]:
    before = start
    for number in range(start.number + 1, min(head.number, start.number + BLOCKS_PER_STEP) + 1):
        block = head if number == head.number else deps.chain.block(number)
        if block.parent_hash != before.hash:
            return  # the chain is being reorganised under us; the next step finds where
        yield block, deps.chain.payments_in(block).payments
        before = block


def _take(deps: Deps, before: Block, block: Block, payments: list[Payment]) -> bool:
    chain_id, now_ms = deps.settings.chain.chain_id, deps.clock.now_ms()
    with deps.database.begin() as db:
        cursor = events.locked_cursor(db, chain_id)
        if cursor is None or cursor.block_hash != before.hash:
            return False
        for payment in payments:
            events.record(db, chain_id, payment, now_ms, in_chain=True)
        _stand_on(db, chain_id, block)
    return True


def _stop(deps: Deps, why: str) -> int:
    with deps.database.begin() as db:
        cursor = events.locked_cursor(db, deps.settings.chain.chain_id)
        if cursor is not None:
            cursor.stopped_why = why
            db.add(cursor)
    return 0

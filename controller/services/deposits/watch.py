"""The watcher: reads each chain block by block, follows reorganisations, and has deposits settled.

The cursor moves only over blocks read whole, in one chain of headers linked by parent hash; an error
leaves it where it was. Any number of watchers may run: the one that finds the cursor moved gives up.
Source: payments.md 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.domain.deposits import NOBODY, UNEXPLAINED
from controller.errors import Unavailable
from controller.models import ChainCursor, ChainHeader
from controller.services.alerts import clear_alert, raise_alert
from controller.services.deposits import events
from controller.services.deposits.drop import drop
from controller.services.deposits.note import note_new
from controller.services.deposits.record import record
from controller.services.deposits.settle import drop_unwatched, settle_due, settle_final
from controller.services.deposits.topup import top_up
from controller.services.deps import Deps
from controller.services.ports import Block, BlockMoney, Payment

OTHER_CHAIN = "the node serves another chain: its genesis block is not ours"
TOO_DEEP = "the chain was reorganised deeper than the headers kept"
PAST_FINAL = "the chain was reorganised past a final deposit"
SETTLED_FOR_GOOD = ("final", "returned")
DEEPEST_REORG = 256
# The block under the deepest reorganisation is where the chains still agree.
HEADERS_KEPT = DEEPEST_REORG + 1
BLOCKS_PER_STEP = 2_000
BLOCKS_PER_HINT = 16
BLOCKS_PER_COMMIT = 64

Found = tuple[Block, BlockMoney]


def watch_once(deps: Deps, chain_id: int | None = None, *, at_most: int = BLOCKS_PER_STEP) -> int:
    """One step of a chain's watcher: follow the chain, read new blocks, settle what is due.

    Args:
        deps: ports and settings.
        chain_id: which chain; the home chain by default.
        at_most: how many blocks to read.

    Returns:
        how many blocks were read and events changed; 0 means there is nothing to do for now.

    Raises:
        ChainUnavailable: the chain could not be read; the cursor stays.
        DatabaseUnavailable: nothing was changed.
    """
    chain_id = deps.settings.chain.chain_id if chain_id is None else chain_id
    cursor = open_cursor(deps, chain_id)
    if cursor is None or cursor.stopped_why:
        return 0
    head = deps.chains[chain_id].head()
    if head.number < cursor.block_number:
        return 0  # a node that lags; a shorter chain shows itself once it grows
    ancestor = _common_ancestor(deps, cursor, head)
    if ancestor is None:
        return _stop(deps, cursor, TOO_DEEP)
    if ancestor.number < cursor.block_number and not _rewind(deps, cursor, ancestor):
        return 0
    read, at = _follow(deps, chain_id, ancestor, _to(deps, chain_id, ancestor, head, at_most))
    note_new(deps, chain_id)
    settled = drop_unwatched(deps, chain_id) + settle_final(deps, chain_id) + settle_due(deps, chain_id, at)
    return read + settled + top_up(deps, chain_id)


def open_cursor(deps: Deps, chain_id: int) -> ChainCursor | None:
    """The cursor, made before the first step; `stopped_why` is set on it while the genesis is another.

    Returns None only while another watcher makes it.
    """
    chain, reader = deps.settings.chain_by_id(chain_id), deps.chains[chain_id]
    genesis = reader.genesis_hash()
    same = genesis == chain.genesis_hash
    with deps.database.begin() as db:
        known = events.locked_cursor(db, chain_id)
        if known is not None:
            _check(db, known, same and known.genesis_hash == genesis, deps.clock.now_ms())
            return known
        if not same:
            _tell(db, chain_id, OTHER_CHAIN, deps.clock.now_ms())
    first = reader.block(max(chain.start_block - 1, 0)) if same else None
    cursor = ChainCursor(
        chain_id=chain_id,
        genesis_hash=chain.genesis_hash,
        block_number=first.number if first else 0,
        block_hash=first.hash if first else chain.genesis_hash,
        stopped_why=None if same else OTHER_CHAIN,
    )
    if first is None:
        return cursor
    with deps.database.begin() as db:
        db.execute(insert(ChainCursor).values(**cursor.model_dump()).on_conflict_do_nothing())
        _keep(db, chain_id, first)
        _tell(db, chain_id, None, deps.clock.now_ms())
        return events.locked_cursor(db, chain_id)


def _check(db: Session, cursor: ChainCursor, same: bool, now_ms: int) -> None:
    """Stop on another genesis, and go on when it is ours again; other reasons to stop stay."""
    if cursor.stopped_why not in {None, OTHER_CHAIN}:
        return
    why = None if same else OTHER_CHAIN
    if cursor.stopped_why != why:
        cursor.stopped_why = why
        _tell(db, cursor.chain_id, why, now_ms)


def _tell(db: Session, chain_id: int, why: str | None, now_ms: int) -> None:
    if why is None:
        clear_alert(db, "watcher-stopped", str(chain_id), now_ms)
    else:
        raise_alert(db, "watcher-stopped", str(chain_id), why, now_ms)


def _keep(db: Session, chain_id: int, *blocks: Block) -> None:
    rows = [
        {"chain_id": chain_id, "number": b.number, "hash": b.hash, "parent_hash": b.parent_hash}
        for b in blocks
    ]
    made = insert(ChainHeader).values(rows)
    changed = {name: made.excluded[name] for name in ("hash", "parent_hash")}
    db.execute(made.on_conflict_do_update(index_elements=["chain_id", "number"], set_=changed))


def _to(deps: Deps, chain_id: int, start: Block, head: Block, at_most: int) -> Block:
    number = start.number + at_most
    return head if head.number <= number else deps.chains[chain_id].block(number)


def _common_ancestor(deps: Deps, cursor: ChainCursor, head: Block) -> Block | None:
    """The newest block that our headers and the node share; None when none of those kept is."""
    reader = deps.chains[cursor.chain_id]
    # Not the head itself: that is what one node says, and a block by its number is compared between nodes.
    at = head if head.hash == cursor.block_hash else reader.block(cursor.block_number)
    if at.hash == cursor.block_hash:
        return at
    query = select(ChainHeader).where(
        ChainHeader.chain_id == cursor.chain_id, ChainHeader.number < cursor.block_number
    )
    with deps.database.begin() as db:
        kept = list(db.exec(query.order_by(col(ChainHeader.number))))
    # Below the fork all are shared, above it none is: halving finds it in a few questions.
    shared, low, high = None, 0, len(kept)
    while low < high:
        middle = (low + high) // 2
        at = reader.block(kept[middle].number)
        if at.hash == kept[middle].hash:
            shared, low = at, middle + 1
        else:
            high = middle
    return shared


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
        if any(event.state in SETTLED_FOR_GOOD for event in gone):
            db.get_one(ChainCursor, chain_id).stopped_why = PAST_FINAL
            _tell(db, chain_id, PAST_FINAL, now_ms)
            return False
        drop(db, gone, "the network dropped its block", now_ms)
        above = (col(ChainHeader.chain_id) == chain_id) & (col(ChainHeader.number) > ancestor.number)
        db.execute(delete(ChainHeader).where(above))
        stand_on(db, chain_id, ancestor)
    return True


def stand_on(db: Session, chain_id: int, *blocks: Block) -> None:
    """Move the cursor to the last of some blocks, and keep their headers; the caller holds the cursor."""
    if not blocks:
        return
    cursor, block = db.get_one(ChainCursor, chain_id), blocks[-1]
    cursor.block_number, cursor.block_hash = block.number, block.hash
    db.add(cursor)
    _keep(db, chain_id, *blocks)
    db.execute(
        delete(ChainHeader).where(
            col(ChainHeader.chain_id) == chain_id, col(ChainHeader.number) <= block.number - HEADERS_KEPT
        )
    )


def _follow(deps: Deps, chain_id: int, start: Block, to: Block) -> tuple[int, Block]:
    """Read on from the block the cursor stands on; how many blocks, and the last.

    What was read before a node failed is committed before the failure is told.
    """
    before, found = start, deps.chains[chain_id].read_on(start, to)
    while batch := _batch(found):
        blocks, problem = batch
        if not _take(deps, chain_id, before, blocks):
            break
        before = blocks[-1][0] if blocks else before
        if problem:
            raise problem
    return before.number - start.number, before


def _batch(found: Iterator[Found]) -> tuple[list[Found], Unavailable | None] | None:
    """The next blocks to commit together, and what cut them short; None at the end."""
    blocks: list[Found] = []
    try:
        for block in found:
            blocks.append(block)
            if len(blocks) == BLOCKS_PER_COMMIT:
                break
    except Unavailable as error:
        return blocks, error
    return (blocks, None) if blocks else None


def _take(deps: Deps, chain_id: int, before: Block, blocks: list[Found]) -> bool:
    """Commit blocks that follow the cursor's, whole; False when the cursor is no longer there."""
    now_ms = deps.clock.now_ms()
    with deps.database.begin() as db:
        cursor = events.locked_cursor(db, chain_id)
        if cursor is None or cursor.block_hash != before.hash:
            return False
        for block, money in blocks:
            for payment in [*money.payments, *_unexplained(block, money)]:
                doubtful = payment.asset in money.doubtful
                record(db, chain_id, payment, now_ms, in_chain=True, doubtful=doubtful)
        stand_on(db, chain_id, *(block for block, _ in blocks))
    return True


def _unexplained(block: Block, money: BlockMoney) -> list[Payment]:
    """Wei that came without a payment, as an event of their own that nobody is credited for."""
    if not money.unexplained_wei:
        return []
    wei, position = money.unexplained_wei, UNEXPLAINED
    return [Payment(block.hash, position, "eth", NOBODY, wei, block.number, block.hash)]


def _stop(deps: Deps, cursor: ChainCursor, why: str) -> int:
    with deps.database.begin() as db:
        if not _moved(db, cursor):
            db.get_one(ChainCursor, cursor.chain_id).stopped_why = why
            _tell(db, cursor.chain_id, why, deps.clock.now_ms())
    return 0

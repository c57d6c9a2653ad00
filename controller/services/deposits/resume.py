"""Lets a stopped watcher go on, by the operator's decision: everything above a block is read again.

A watcher stops by itself where a chain was reorganised deeper than it can follow, or past what was final.
Credits above the chosen block are taken back by contra entries and given again as they are read again.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete
from sqlmodel import Session, col

from controller.domain.deposits import CREDITED
from controller.errors import BadInput
from controller.models import ChainCursor, ChainHeader, MoneyEvent
from controller.services.alerts import clear_alert
from controller.services.deposits import events
from controller.services.deposits.drop import drop
from controller.services.deposits.watch import OTHER_CHAIN, stand_on
from controller.services.deps import Deps
from controller.services.ports import Block

WHY = "the operator had the chain read again"


@dataclass(frozen=True)
class Resumption:
    """What going on from a block means: deposits to be read again, how many of them were credited."""

    chain_id: int
    from_block: int
    stopped_why: str
    deposits: int
    credited: int


def plan(deps: Deps, chain_id: int, from_block: int) -> Resumption:
    """What `resume` would do.

    Raises:
        BadInput: no such chain, it is not stopped, or the block is not one that was read.
        ChainUnavailable: the chain cannot be read.
    """
    _chosen(deps, chain_id, from_block)
    with deps.database.begin() as db:
        return _told(_stopped(db, chain_id, from_block), _above(db, chain_id, from_block), from_block)


def resume(deps: Deps, chain_id: int, from_block: int) -> Resumption:
    """Go on from a block: it stays, and all above it is read again. Raises as `plan`."""
    block = _chosen(deps, chain_id, from_block)
    now_ms = deps.clock.now_ms()
    with deps.database.begin() as db:
        cursor = _stopped(db, chain_id, from_block)
        gone = _above(db, chain_id, from_block)
        told = _told(cursor, gone, from_block)
        drop(db, gone, WHY, now_ms)
        above = (col(ChainHeader.chain_id) == chain_id) & (col(ChainHeader.number) > from_block)
        db.execute(delete(ChainHeader).where(above))
        stand_on(db, chain_id, block)
        cursor.stopped_why = None
        clear_alert(db, "watcher-stopped", str(chain_id), now_ms)
        return told


def _chosen(deps: Deps, chain_id: int, from_block: int) -> Block:
    if chain_id not in deps.chains:
        raise BadInput(f"Chain {chain_id} is not configured.", field="chain_id")
    if from_block < 0:
        raise BadInput("A block number is not negative.", field="from_block")
    return deps.chains[chain_id].block(from_block)


def _stopped(db: Session, chain_id: int, from_block: int) -> ChainCursor:
    cursor = events.locked_cursor(db, chain_id)
    if cursor is None or cursor.stopped_why is None:
        raise BadInput("This chain's watcher is not stopped.", field="chain_id")
    if cursor.stopped_why == OTHER_CHAIN:
        raise BadInput("The node serves another chain: correct the node; the watcher then goes on by itself.")
    if from_block > cursor.block_number:
        raise BadInput(f"Only blocks up to {cursor.block_number} were read.", field="from_block")
    return cursor


def _above(db: Session, chain_id: int, from_block: int) -> list[MoneyEvent]:
    found = events.in_blocks_above(db, chain_id, from_block)
    if any(event.state == "returned" for event in found):
        raise BadInput("A deposit above this block was sent back by an operator; choose a later block.")
    return found


def _told(cursor: ChainCursor, gone: list[MoneyEvent], from_block: int) -> Resumption:
    credited = sum(event.state in CREDITED for event in gone)
    return Resumption(cursor.chain_id, from_block, cursor.stopped_why or "", len(gone), credited)

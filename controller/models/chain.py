"""How far the watcher has read each chain, and the recent headers that show a reorganisation."""

from __future__ import annotations

from sqlmodel import Field, SQLModel

from controller.models.base import bigint


class ChainCursor(SQLModel, table=True):
    """The last block read whole. Another genesis hash stops the watcher; it never reverses credit."""

    __tablename__ = "chain_cursor"
    chain_id: int = bigint(primary_key=True)
    genesis_hash: str = Field(max_length=66)
    block_number: int = bigint()
    block_hash: str = Field(max_length=66)
    stopped_why: str | None = Field(default=None)


class ChainHeader(SQLModel, table=True):
    """One of the headers read last: enough for a reorganisation of 256 blocks, and the block under it."""

    __tablename__ = "chain_header"
    chain_id: int = bigint(primary_key=True)
    number: int = bigint(primary_key=True)
    hash: str = Field(max_length=66)
    parent_hash: str = Field(max_length=66)

"""Binding quotes: what one deposit of an exact amount brings, if it is mined in time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from controller.models.base import bigint, json_object, token_amount


class Quote(SQLModel, table=True):
    """A price held for a wallet. `event_id` is the one deposit it was honoured for, bound for good."""

    __tablename__ = "quote"
    __table_args__ = (
        CheckConstraint("amount > 0", name="positive"),
        CheckConstraint("expires_at_ms > created_at_ms", name="forward"),
        Index("ix_quote_wallet_expires_at_ms", "wallet", "expires_at_ms"),
    )
    id: str = Field(primary_key=True, max_length=36)
    wallet: str = Field(foreign_key="wallet.address", max_length=42)
    rail: str
    chain_id: int = bigint()
    asked: str
    amount: int = token_amount()
    gpu_ms: int = bigint()
    block_number: int = bigint()
    created_at_ms: int = bigint()
    expires_at_ms: int = bigint(index=True)
    terms: dict[str, Any] = json_object()
    event_id: int | None = bigint(default=None, nullable=True, unique=True, foreign_key="money_event.id")

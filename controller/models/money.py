"""Money events on chain: one row per log or value-moving frame, whatever detects it, however often."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from controller.models.base import bigint, json_object, token_amount

STATES = (
    "seen",
    "confirming",
    "credited",
    "final",
    "orphaned",
    "below_min",
    "unattributed",
    "wrong_asset",
    "price_pending",
    "reversed",
)


class MoneyEvent(SQLModel, table=True):
    """Key = (chain, tx hash, position): `log:<ordinal in the receipt>` or `eth:<frame path>`."""

    __tablename__ = "money_event"
    __table_args__ = (
        UniqueConstraint("chain_id", "tx_hash", "position"),
        CheckConstraint("state IN (" + ", ".join(f"'{s}'" for s in STATES) + ")", name="state"),
        CheckConstraint("amount > 0", name="positive"),
    )
    id: int | None = bigint(primary_key=True, default=None)
    chain_id: int = bigint()
    tx_hash: str = Field(max_length=66)
    position: str
    asset: str
    payer: str = Field(max_length=42, index=True)
    amount: int = token_amount()
    block_number: int = bigint(index=True)
    block_hash: str = Field(max_length=66)
    state: str = Field(index=True)
    seen_at_ms: int = bigint()
    credited_gpu_ms: int | None = bigint(default=None, nullable=True)
    transfer_key: str | None = Field(default=None)
    evidence: dict[str, Any] = json_object()


class MoneyEventTransition(SQLModel, table=True):
    """Each change of a money event's state is a row, never an overwrite."""

    __tablename__ = "money_event_transition"
    id: int | None = bigint(primary_key=True, default=None)
    event_id: int = bigint(foreign_key="money_event.id", index=True)
    at_ms: int = bigint()
    from_state: str | None
    to_state: str
    why: str

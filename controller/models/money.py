"""Money events on chain: one row per log or value-moving frame, whatever detects it, however often."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from controller.models.base import bigint, json_object, token_amount
from controller.models.seal import seal_column, sealed

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
    "own_move",
    "returned",
)


@sealed
class MoneyEvent(SQLModel, table=True):
    """Key = (chain, tx hash, position): `log:<ordinal in the receipt>` or `eth:<frame path>`.

    Wei that no payment explains have the block's hash and `unexplained`. `payer` paid on chain; the credit
    is `beneficiary`'s where the deposit was assigned. `waits_why` says what an open event waits for, and
    `look_again_ms` when it is tried again. `noted`: price and tier were asked for when it was first seen.
    `top_up_due` marks a value at tier 0 until the holding at its block can be read. `rail` is `x402` for
    what was paid by HTTP 402, with that rail's minimum; empty for a plain deposit. `unwatched`: credited on
    one receipt, the watcher has yet to find it in its own chain.
    """

    __tablename__ = "money_event"
    __table_args__ = (
        UniqueConstraint("chain_id", "tx_hash", "position"),
        CheckConstraint("state IN (" + ", ".join(f"'{s}'" for s in STATES) + ")", name="state"),
        CheckConstraint("amount > 0", name="positive"),
        Index("ix_money_event_sender_nonce", "sender", "nonce"),
        Index("ix_money_event_top_up_due", "chain_id", postgresql_where=text("top_up_due")),
        Index("ix_money_event_unwatched", "chain_id", postgresql_where=text("unwatched")),
    )
    id: int | None = bigint(primary_key=True, default=None)
    chain_id: int = bigint()
    tx_hash: str = Field(max_length=66)
    position: str
    recipient: str = Field(max_length=42)
    sender: str = Field(max_length=42)
    nonce: int | None = bigint(default=None, nullable=True)
    asset: str
    payer: str = Field(max_length=42, index=True)
    amount: int = token_amount()
    block_number: int = bigint(index=True)
    block_hash: str = Field(max_length=66)
    state: str = Field(index=True)
    seen_at_ms: int = bigint()
    credited_gpu_ms: int | None = bigint(default=None, nullable=True)
    transfer_key: str | None = Field(default=None)
    beneficiary: str | None = Field(default=None, max_length=42, index=True)
    waits_why: str | None = Field(default=None)
    look_again_ms: int | None = bigint(default=None, nullable=True)
    noted: bool = Field(default=False)
    top_up_due: bool = Field(default=False)
    rail: str = Field(default="", max_length=8)
    unwatched: bool = Field(default=False)
    evidence: dict[str, Any] = json_object()
    seal: str = seal_column()


@sealed
class MoneyEventTransition(SQLModel, table=True):
    """Each change of a money event's state is a row, never an overwrite."""

    __tablename__ = "money_event_transition"
    id: int | None = bigint(primary_key=True, default=None)
    event_id: int = bigint(foreign_key="money_event.id", index=True)
    at_ms: int = bigint()
    from_state: str | None
    to_state: str
    why: str
    seal: str = seal_column()


class SentTransaction(SQLModel, table=True):
    """A transaction that waited in the pool when it was looked up, so that "replaced" can be told later."""

    __tablename__ = "sent_transaction"
    chain_id: int = bigint(primary_key=True)
    tx_hash: str = Field(max_length=66, primary_key=True)
    sender: str = Field(max_length=42)
    nonce: int = bigint()
    seen_at_ms: int = bigint(index=True)


class OperatorAlert(SQLModel, table=True):
    """What the operator should look at: open until `cleared_at_ms`, one of a kind and subject at a time."""

    __tablename__ = "operator_alert"
    __table_args__ = (
        Index(
            "uq_operator_alert_open",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text("cleared_at_ms IS NULL"),
        ),
    )
    id: int | None = bigint(primary_key=True, default=None)
    kind: str
    subject: str
    why: str
    since_ms: int = bigint()
    cleared_at_ms: int | None = bigint(default=None, nullable=True)

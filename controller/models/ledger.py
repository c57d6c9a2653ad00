"""Double-entry journal in integer units. Append-only: triggers refuse UPDATE and DELETE of transfers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, Numeric, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from controller.models.base import UPDATED_IN_PLACE, bigint, json_object
from controller.models.seal import seal_column, sealed


class Account(SQLModel, table=True):
    """One side of the journal, in one unit: `gpu_ms` or a token's smallest unit.

    Balance = credits - debits for liabilities (`user:`). `floored` accounts cannot be overdrawn;
    a user account is floored except while a reversed deposit or storage debt has taken it below zero.
    """

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("debits >= 0 AND credits >= 0", name="not_negative"),
        CheckConstraint("NOT floored OR credits >= debits", name="floor"),
        UPDATED_IN_PLACE,
    )
    id: int | None = bigint(primary_key=True, default=None)
    code: str = Field(unique=True)
    unit: str
    floored: bool
    debits: int = Field(default=0, sa_column=Column(Numeric(78, 0), nullable=False))
    credits: int = Field(default=0, sa_column=Column(Numeric(78, 0), nullable=False))


class JournalBatch(SQLModel, table=True):
    """One hash link over the ordered transfers of one commit; `hash` covers `prev_hash` and those rows."""

    __tablename__ = "journal_batch"
    id: int | None = bigint(primary_key=True, default=None)
    at_ms: int = bigint()
    prev_hash: str = Field(unique=True)
    hash: str = Field(unique=True)


class Transfer(SQLModel, table=True):
    """A posting: `amount` moves from the debit account to the credit account, once per `key`, for ever."""

    __tablename__ = "transfer"
    __table_args__ = (
        CheckConstraint("amount > 0", name="positive"),
        CheckConstraint("debit_id <> credit_id", name="two_sides"),
        # Nobody asks when time was used by the journal: `usage_window` says so.
        Index("ix_transfer_at_ms", "at_ms", postgresql_where=text("kind <> 'use'")),
    )
    id: int | None = bigint(primary_key=True, default=None)
    key: str = Field(unique=True)
    kind: str
    debit_id: int = bigint(foreign_key="account.id", index=True)
    credit_id: int = bigint(foreign_key="account.id", index=True)
    amount: int = Field(sa_column=Column(Numeric(78, 0), nullable=False))
    at_ms: int = bigint()
    batch_id: int = bigint(foreign_key="journal_batch.id", index=True)
    evidence: dict[str, Any] = json_object()


@sealed
class Hold(SQLModel, table=True):
    """GPU-milliseconds set aside for a claim, so two claims cannot spend one balance."""

    __tablename__ = "hold"
    __table_args__ = (
        CheckConstraint("amount_gpu_ms > 0", name="positive"),
        Index("uq_hold_open", "session_id", unique=True, postgresql_where=text("released_at_ms IS NULL")),
    )
    id: int | None = bigint(primary_key=True, default=None)
    account_id: int = bigint(foreign_key="account.id", index=True)
    session_id: str = Field(foreign_key="gpu_session.id", max_length=36)
    amount_gpu_ms: int = bigint()
    created_at_ms: int = bigint()
    released_at_ms: int | None = bigint(default=None, nullable=True)
    seal: str = seal_column()


@sealed
class UsageWindow(SQLModel, table=True):
    """A billed stretch [from, to) of one session, or a `gap` without proof of life that was not billed."""

    __tablename__ = "usage_window"
    __table_args__ = (
        UniqueConstraint("session_id", "from_ms"),
        CheckConstraint("to_ms > from_ms", name="forward"),
        CheckConstraint("kind IN ('used', 'gap', 'grace')", name="kind"),
        Index("ix_usage_window_unbilled", "session_id", postgresql_where=text("kind <> 'used'")),
    )
    id: int | None = bigint(primary_key=True, default=None)
    session_id: str = Field(foreign_key="gpu_session.id", max_length=36)
    from_ms: int = bigint()
    to_ms: int = bigint()
    gpus: int
    kind: str
    transfer_key: str | None = Field(default=None)
    seal: str = seal_column()


class LedgerCheck(SQLModel, table=True):
    """One check of the journal's invariants; `findings` is None where it was broken off."""

    __tablename__ = "ledger_check"
    at_ms: int = bigint(primary_key=True)
    findings: int | None = Field(default=None)

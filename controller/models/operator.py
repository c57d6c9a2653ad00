"""What operators ask of the ledger, and what payers sign away: requests and assignments, once each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from controller.models.base import bigint, json_object
from controller.models.seal import seal_column, sealed

REQUEST_KINDS = ("credit", "refund", "adjust", "assign", "return")
REQUEST_STATES = ("waiting", "done", "refused")
ADDRESS_STATES = ("waiting", "accepted", "refused")


@sealed
class LedgerRequest(SQLModel, table=True):
    """One operator entry, by the id its maker gave it: asked for, then done or refused, for ever.

    `gpu_ms` is signed; `proof` is the hash of the refund's transaction, or what the operator knows.
    """

    __tablename__ = "ledger_request"
    __table_args__ = (
        CheckConstraint("kind IN (" + ", ".join(f"'{k}'" for k in REQUEST_KINDS) + ")", name="kind"),
        CheckConstraint("state IN (" + ", ".join(f"'{s}'" for s in REQUEST_STATES) + ")", name="state"),
        CheckConstraint("state <> 'done' OR approver IS NULL OR actor <> approver", name="four_eyes"),
        Index(
            "uq_ledger_request_event", "event_id", unique=True, postgresql_where=text("state <> 'refused'")
        ),
        Index("ix_ledger_request_actor", "actor", "asked_at_ms"),
    )
    request_id: str = Field(primary_key=True, max_length=64)
    kind: str
    wallet: str | None = Field(default=None, max_length=42)
    gpu_ms: int = bigint(default=0)
    event_id: int | None = bigint(default=None, nullable=True, foreign_key="money_event.id")
    session_id: str | None = Field(default=None, max_length=36, foreign_key="gpu_session.id", index=True)
    reason: str
    proof: str = ""
    actor: str
    asked_at_ms: int = bigint()
    state: str = Field(index=True)
    approver: str | None = Field(default=None)
    decided_at_ms: int | None = bigint(default=None, nullable=True)
    seal: str = seal_column()


@sealed
class DepositAssignment(SQLModel, table=True):
    """A payer's signed word that one deposit is somebody else's (EIP-712 `AssignDeposit`); used once."""

    __tablename__ = "deposit_assignment"
    __table_args__ = (
        UniqueConstraint("event_id"),
        UniqueConstraint("signer", "nonce", name="uq_deposit_assignment_signer"),
    )
    id: int | None = bigint(primary_key=True, default=None)
    event_id: int = bigint(foreign_key="money_event.id")
    signer: str = Field(max_length=42)
    beneficiary: str = Field(max_length=42)
    nonce: str = Field(max_length=78)
    deadline_s: int = bigint()
    signature: str
    gpu_ms: int = bigint()
    at_ms: int = bigint()
    seal: str = seal_column()


@sealed
class PaymentAddresses(SQLModel, table=True):
    """A set of addresses that decide where payments go; the one accepted last is what may be used.

    Only the first of a platform has no `approver`.
    """

    __tablename__ = "payment_addresses"
    __table_args__ = (
        CheckConstraint("state IN (" + ", ".join(f"'{s}'" for s in ADDRESS_STATES) + ")", name="state"),
        CheckConstraint("state <> 'accepted' OR approver IS NULL OR actor <> approver", name="four_eyes"),
        Index(
            "uq_payment_addresses_waiting",
            "fingerprint",
            unique=True,
            postgresql_where=text("state = 'waiting'"),
        ),
    )
    id: int | None = bigint(primary_key=True, default=None)
    fingerprint: str = Field(max_length=64)
    addresses: dict[str, Any] = json_object()
    state: str
    reason: str = ""
    actor: str
    asked_at_ms: int = bigint()
    approver: str | None = Field(default=None)
    decided_at_ms: int | None = bigint(default=None, nullable=True)
    seal: str = seal_column()

"""What the queue's planner remembers of each claim and session, and the promises it has given."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from controller.models.base import bigint


class Promise(SQLModel, table=True):
    """The latest start a claim was told, `latest_ms`: written once, by trigger never moved.

    `broken_why` is the cause outside (a lost host) for which it cannot be kept, or was not.
    """

    __tablename__ = "promise"
    __table_args__ = (CheckConstraint("latest_ms > given_at_ms", name="ahead"),)
    session_id: str = Field(primary_key=True, foreign_key="gpu_session.id", max_length=36)
    given_at_ms: int = bigint()
    latest_ms: int = bigint(index=True)
    started_at_ms: int | None = bigint(default=None, nullable=True)
    broken_why: str = Field(default="")


class QueuePlace(SQLModel, table=True):
    """A claim's place in the plan, and what its session may count on afterwards.

    While it waits: `host`, `start_ms` and `length_ms` are its slot in the last plan; `offer_until_ms` the
    bounded start it could have; `reserved` for whom free GPUs beside it are kept. `accept_bounded` says
    that its owner takes a bounded start, `accept_until_ms` until when at least.

    On GPUs: it may count on them until `until_ms`; `bound_ms` is when balance and grace end it at the
    latest. `told_until_ms` is the guarantee it was told before its start, None for the whole balance;
    `cut_for` the promised claim for which it ends now.
    """

    __tablename__ = "queue_place"
    session_id: str = Field(primary_key=True, foreign_key="gpu_session.id", max_length=36)
    accept_bounded: bool = Field(default=False)
    accept_until_ms: int | None = bigint(default=None, nullable=True)
    host: str | None = Field(default=None)
    start_ms: int | None = bigint(default=None, nullable=True)
    length_ms: int | None = bigint(default=None, nullable=True)
    offer_until_ms: int | None = bigint(default=None, nullable=True)
    reserved: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default="[]")
    )
    bound_ms: int | None = bigint(default=None, nullable=True)
    until_ms: int | None = bigint(default=None, nullable=True)
    told_until_ms: int | None = bigint(default=None, nullable=True)
    cut_for: str | None = Field(default=None)

"""Provisioning runs: queued here, executed by a worker under a lease, every ansible-runner event kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from controller.models.base import bigint, json_object


class Run(SQLModel, table=True):
    """One invocation of a playbook through ansible-runner; about a slot, a home, or a whole host."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed')", name="state"),
        Index("ix_run_waiting", "id", postgresql_where=text("state IN ('queued', 'running')")),
    )
    id: int | None = bigint(primary_key=True, default=None)
    playbook: str
    host: str = Field(foreign_key="host.name")
    slot_id: str | None = Field(default=None, foreign_key="slot.id", index=True)
    session_id: str | None = Field(default=None, foreign_key="gpu_session.id", index=True, max_length=36)
    home: str | None = Field(default=None, foreign_key="home.wallet", index=True, max_length=42)
    state: str
    input: dict[str, Any] = json_object()
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    error_code: str | None = Field(default=None)
    attempts: int = Field(default=0)
    not_before_ms: int = bigint(default=0)
    created_at_ms: int = bigint()
    started_at_ms: int | None = bigint(default=None, nullable=True)
    finished_at_ms: int | None = bigint(default=None, nullable=True)
    # How it ran, for the operator: `warm` or `cold`, why not warm, and milliseconds since it was due
    way: str | None = Field(default=None)
    way_why: str | None = Field(default=None)
    timings: dict[str, Any] = json_object()
    lease_owner: str | None = Field(default=None)
    lease_token: int = bigint(default=0)
    lease_until_ms: int | None = bigint(default=None, nullable=True)


class RunEvent(SQLModel, table=True):
    """One ansible-runner event of one run."""

    __tablename__ = "run_event"
    run_id: int = bigint(primary_key=True, foreign_key="run.id")
    attempt: int = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    event: str
    task: str | None = Field(default=None)
    at_ms: int = bigint()
    data: dict[str, Any] = json_object()

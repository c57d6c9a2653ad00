"""Claims and sessions: one row from the click to the end, one event row per transition."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from controller.models.base import UPDATED_IN_PLACE, bigint, json_object

LIVE_STATES = ("queued", "starting", "running", "grace", "ending")


class GpuSession(SQLModel, table=True):
    """A claim (`queued`, `starting`) that becomes a session (`running`, `grace`) and ends."""

    __tablename__ = "gpu_session"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'starting', 'running', 'grace', 'ending', 'ended', 'failed')", name="state"
        ),
        CheckConstraint("gpus > 0", name="gpus"),
        CheckConstraint("kind IN ('desktop', 'ssh')", name="kind"),
        CheckConstraint("(kind = 'ssh') = (ssh_keys <> '')", name="ssh_has_key"),
        Index(
            "uq_gpu_session_live_wallet",
            "wallet",
            unique=True,
            postgresql_where=text("state IN ('queued', 'starting', 'running', 'grace', 'ending')"),
        ),
        Index("uq_gpu_session_slot", "slot_id", unique=True),
        UPDATED_IN_PLACE,
    )
    id: str = Field(primary_key=True, max_length=36)
    wallet: str = Field(foreign_key="wallet.address", index=True)
    kind: str = Field(default="desktop")
    profile: str
    gpus: int
    state: str = Field(index=True)
    detached: bool = Field(default=False)
    fresh_start: bool = Field(default=False)
    why: str = Field(default="")
    slot_id: str | None = Field(default=None, foreign_key="slot.id")
    generation: int = Field(default=1)
    claimed_at_ms: int = bigint()
    starting_at_ms: int | None = bigint(default=None, nullable=True)
    ready_at_ms: int | None = bigint(default=None, nullable=True)
    billed_to_ms: int | None = bigint(default=None, nullable=True)
    bill_until_ms: int | None = bigint(default=None, nullable=True)
    grace_until_ms: int | None = bigint(default=None, nullable=True)
    seen_at_ms: int | None = bigint(default=None, nullable=True)
    closed_at_ms: int | None = bigint(default=None, nullable=True)
    ended_at_ms: int | None = bigint(default=None, nullable=True)
    end_reason: str | None = Field(default=None)
    # Which tab works at the desktop, empty when none does; when one that only looks was last heard of.
    shown_by: str = Field(default="")
    watched_at_ms: int | None = bigint(default=None, nullable=True)
    # Idle truth: minutes its owner gave it (0: for ever), last busy, measured to, told at.
    idle_minutes: int = Field(default=0)
    active_at_ms: int | None = bigint(default=None, nullable=True)
    measured_at_ms: int | None = bigint(default=None, nullable=True)
    idle_noticed_at_ms: int | None = bigint(default=None, nullable=True)
    # SSH: the keys that may log in, a line each; the host key it answers with; the first login.
    ssh_keys: str = Field(default="")
    host_key: str = Field(default="")
    opened_at_ms: int | None = bigint(default=None, nullable=True)
    # The label of the hosts on which it may run; empty for any.
    gpu_model: str = Field(default="", sa_column_kwargs={"server_default": ""})


class SessionEvent(SQLModel, table=True):
    """One transition of one session, as `domain/lifecycle` decided it."""

    __tablename__ = "session_event"
    id: int | None = bigint(primary_key=True, default=None)
    session_id: str = Field(foreign_key="gpu_session.id", index=True, max_length=36)
    at_ms: int = bigint()
    from_state: str | None
    to_state: str
    event: str
    detail: dict[str, Any] = json_object()


class DesktopWarning(SQLModel, table=True):
    """A low-balance warning on its way into a desktop; once per threshold and top-up."""

    __tablename__ = "warning"
    id: int | None = bigint(primary_key=True, default=None)
    session_id: str = Field(foreign_key="gpu_session.id", index=True, max_length=36)
    key: str = Field(unique=True)
    text: str
    urgency: str
    created_at_ms: int = bigint()
    delivered_at_ms: int | None = bigint(default=None, nullable=True)

"""Desktops that wait for somebody, beside the slots in which they wait."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from controller.models.base import bigint


class WarmDesktop(SQLModel, table=True):
    """A desktop started before anybody came. Its slot is `intended` while it is painted, then `warm`.

    It leases no GPU: `gpus` says on which it was started, and only a claim of all of them may take it.
    """

    __tablename__ = "warm_desktop"
    __table_args__ = (CheckConstraint("jsonb_array_length(gpus) > 0", name="gpus"),)
    slot_id: str = Field(primary_key=True, foreign_key="slot.id")
    profile: str
    gpus: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    image_id: str
    created_at_ms: int = bigint()
    painted_at_ms: int | None = bigint(default=None, nullable=True)
    memory_mib: int | None = Field(default=None)
    claimed_at_ms: int | None = bigint(default=None, nullable=True)
    retired_why: str | None = Field(default=None)

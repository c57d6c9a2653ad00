"""What the server's clock is counted from (`adapters/clock.py`)."""

from __future__ import annotations

from sqlmodel import Field, SQLModel

from controller.models.base import bigint


class ClockAnchor(SQLModel, table=True):
    """Wall clock minus time since boot, as the first process after a machine's start read it."""

    __tablename__ = "clock_anchor"
    boot_id: str = Field(primary_key=True, max_length=36)
    offset_ms: int = bigint()

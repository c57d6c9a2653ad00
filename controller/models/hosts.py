"""GPU hosts, their GPUs, and the slots in which desktops run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from controller.models.base import UPDATED_IN_PLACE, bigint


class Host(SQLModel, table=True):
    """A machine with a Docker engine, reached by Ansible (`local` or `ssh`).

    `drain`: the operator wants nothing placed on it; its state is `draining` then, while it answers.
    """

    __tablename__ = "host"
    __table_args__ = (
        CheckConstraint("state IN ('ready', 'draining', 'lost', 'removed')", name="state"),
        CheckConstraint("connection IN ('local', 'ssh')", name="connection"),
    )
    name: str = Field(primary_key=True)
    address: str
    connection: str
    state: str
    simulated: bool
    gateway_url: str
    drain: bool = Field(default=False)
    boot_id: str | None = Field(default=None)
    last_report_at_ms: int | None = bigint(default=None, nullable=True)
    health: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    health_at_ms: int | None = bigint(default=None, nullable=True)
    image_id: str | None = Field(default=None)  # what new sessions boot here; None: that of the settings
    previous_image_id: str | None = Field(default=None)


class Slot(SQLModel, table=True):
    """A place for one container; its id is the container's name. Lives from intent to confirmed removal.

    `warm`: a desktop waits in it for somebody (`models/pool.py`); a claim makes it `intended` again.
    """

    __tablename__ = "slot"
    __table_args__ = (
        CheckConstraint("state IN ('intended', 'warm', 'up', 'stopping', 'gone')", name="state"),
        CheckConstraint("subnet_index BETWEEN 0 AND 4094", name="subnet"),
        Index(
            "uq_slot_subnet", "host", "subnet_index", unique=True, postgresql_where=text("state <> 'gone'")
        ),
        CheckConstraint("ssh_port BETWEEN 1024 AND 65535", name="ssh_port"),
        Index("uq_slot_ssh_port", "host", "ssh_port", unique=True, postgresql_where=text("state <> 'gone'")),
        Index("ix_slot_never_up", "host", "gone_at_ms", postgresql_where=text("started_at_ms IS NULL")),
        UPDATED_IN_PLACE,
    )
    id: str = Field(primary_key=True, max_length=20)
    host: str = Field(foreign_key="host.name", index=True)
    state: str
    subnet_index: int
    generation: int = Field(default=1)
    fencing_token: int = bigint(default=1)
    config_digest: str
    image_id: str = Field(default="")  # the image its container is made of
    container_id: str | None = Field(default=None)
    lease_until_ms: int = bigint()
    created_at_ms: int = bigint()
    started_at_ms: int | None = bigint(default=None, nullable=True)
    last_alive_ms: int | None = bigint(default=None, nullable=True)
    gone_at_ms: int | None = bigint(default=None, nullable=True)
    ssh_port: int | None = Field(default=None)


class Gpu(SQLModel, table=True):
    """One GPU. `free -> leased -> dirty -> checked -> free`; a slot holds it while it is leased.

    `why` says why it is dirty or quarantined; on a leased one, why it will be quarantined afterwards.
    """

    __tablename__ = "gpu"
    __table_args__ = (
        UniqueConstraint("host", "index"),
        ForeignKeyConstraint(["host"], ["host.name"]),
        ForeignKeyConstraint(["slot_id"], ["slot.id"]),
        CheckConstraint("state IN ('free', 'leased', 'dirty', 'checked', 'quarantined')", name="state"),
        CheckConstraint("(state = 'leased') = (slot_id IS NOT NULL)", name="leased_has_slot"),
    )
    uuid: str = Field(primary_key=True)
    host: str
    index: int
    model: str
    state: str
    slot_id: str | None = Field(default=None, index=True)
    why: str | None = Field(default=None)
    leased_at_ms: int | None = bigint(default=None, nullable=True)
    dirty_at_ms: int | None = bigint(default=None, nullable=True)
    island: str | None = Field(default=None)  # GPUs of a host with one name share an NVLink or PCIe switch

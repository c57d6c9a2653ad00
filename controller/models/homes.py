"""Homes: one row per wallet that ever had one, what it takes up, up to when it is paid, and its events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, Numeric, UniqueConstraint
from sqlmodel import Field, SQLModel

from controller.models.base import bigint, json_object
from controller.models.seal import seal_column, sealed

HOME_STATES = ("live", "pruning", "pruned", "recovering", "restoring", "deleting", "gone")
WINDOW_KINDS = ("charged", "session", "gap", "away", "floor")


def _one_of(column: str, words: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Home(SQLModel, table=True):
    """The persistent volume of a wallet. `host` is the only one on which it may be written.

    `generation` counts hosts: whoever gives the home to another host raises it. `base` is the snapshot that
    the host opens this generation from, empty for what lies there. `fencing_token` counts
    orders about the home (snapshot, prune, recover …), so that a delayed one is refused by the host.
    Storage is settled up to `billed_to_ms`; `remainder` is what of it did not make up a whole GPU-millisecond
    yet (`domain/storage_fee`). `measured_at_ms` is the last report of its size, by the server's clock;
    `warned_at_ms` since when its owner is warned that it will be put away.
    """

    __tablename__ = "home"
    __table_args__ = (
        _one_of("state", HOME_STATES),
        CheckConstraint("bytes_used >= 0 AND remainder >= 0", name="not_negative"),
        Index("ix_home_state", "state"),
        Index("ix_home_host", "host"),
    )
    wallet: str = Field(primary_key=True, foreign_key="wallet.address", max_length=42)
    host: str = Field(foreign_key="host.name")
    state: str = Field(default="live")
    generation: int = bigint(default=0)
    base: str = Field(default="")
    fencing_token: int = bigint(default=0)
    bytes_used: int = bigint(default=0)
    quota_bytes: int | None = bigint(default=None, nullable=True)
    created_at_ms: int = bigint()
    measured_at_ms: int = bigint()
    billed_to_ms: int = bigint()
    remainder: int = bigint(default=0)
    warned_at_ms: int | None = bigint(default=None, nullable=True)
    pruned_at_ms: int | None = bigint(default=None, nullable=True)
    recovery_until_ms: int | None = bigint(default=None, nullable=True)


@sealed
class StorageWindow(SQLModel, table=True):
    """A stretch [from, to) of a home at one size. Windows of a home touch; `charged` ones cost `gpu_ms`.

    `session`: a session of the wallet ran; `gap`: nobody saw the home; `away`: it was put away or gone;
    `floor`: the balance was as low as storage may take it.
    `rate` is GPU-milliseconds for a GB-hour, `billed` the operator's setting then, `floor_gpu_ms` how low
    storage could take the balance, `remainder` what is left over after this window.
    """

    __tablename__ = "storage_window"
    __table_args__ = (
        UniqueConstraint("wallet", "from_ms"),
        CheckConstraint("to_ms > from_ms", name="forward"),
        CheckConstraint("(kind = 'charged') OR (gpu_ms = 0)", name="free"),
        CheckConstraint("(transfer_key IS NOT NULL) = (gpu_ms > 0)", name="posted"),
        _one_of("kind", WINDOW_KINDS),
    )
    id: int | None = bigint(primary_key=True, default=None)
    wallet: str = Field(foreign_key="home.wallet", max_length=42)
    from_ms: int = bigint()
    to_ms: int = bigint()
    bytes: int = bigint()
    kind: str
    rate: int = bigint()
    billed: str
    floor_gpu_ms: int = bigint()
    gpu_ms: int = Field(sa_column=Column(Numeric(78, 0), nullable=False))
    remainder: int = bigint()
    transfer_key: str | None = Field(default=None)
    seal: str = seal_column()


class HomeSnapshot(SQLModel, table=True):
    """A snapshot of a home that its owner made, or that was made for them before a restore; on one host."""

    __tablename__ = "home_snapshot"
    wallet: str = Field(foreign_key="home.wallet", max_length=42, primary_key=True)
    name: str = Field(primary_key=True, max_length=40)
    host: str = Field(foreign_key="host.name")
    why: str
    created_at_ms: int = bigint()


class HomeEvent(SQLModel, table=True):
    """Something that happened to a home and its owner has to know: append-only, like the journal."""

    __tablename__ = "home_event"
    id: int | None = bigint(primary_key=True, default=None)
    wallet: str = Field(foreign_key="home.wallet", index=True, max_length=42)
    at_ms: int = bigint()
    event: str
    actor: str
    detail: dict[str, Any] = json_object()

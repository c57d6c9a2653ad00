"""A home as its owner and operators see it: its size, what it costs, how long that lasts, its snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from controller.domain.lifecycle import LIVE
from controller.domain.storage_fee import gpu_ms_per_day
from controller.models import GpuSession, Home, HomeEvent, HomeSnapshot
from controller.services.deps import Deps
from controller.services.homes import orders as home_orders
from controller.services.homes import storage_life
from controller.services.money import ledger

EVENTS = 30


@dataclass(frozen=True)
class SnapshotView:
    """A snapshot; `here` is whether it lies where the home is, so that it can be returned to."""

    name: str
    why: str
    created_at_ms: int
    here: bool


@dataclass(frozen=True)
class EventView:
    """Something that happened to a home."""

    at_ms: int
    event: str
    actor: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class HomeView:
    """A home. `days_left` until storage alone takes the balance to the floor; None where it never does.

    `is_shared`: on a file system that all hosts share, where it is counted now and then, no quota holds and
    no snapshots are kept (`snapshots_most` is 0). `per_day_gpu_ms` is what a day without a session costs;
    `under_way` the order that is being carried out; `prune_at_ms` the instant before which it is not put
    away, where its owner is warned.
    """

    wallet: str
    state: str
    host: str
    bytes_used: int
    is_shared: bool
    quota_bytes: int
    measured_at_ms: int
    billed: str
    per_day_gpu_ms: int
    balance_gpu_ms: int
    floor_gpu_ms: int
    days_left: int | None
    warned_at_ms: int | None
    prune_at_ms: int | None
    recovery_until_ms: int | None
    under_way: str | None
    has_session: bool
    snapshots_most: int
    snapshots: list[SnapshotView]
    events: list[EventView]


def home(deps: Deps, wallet: str) -> HomeView | None:
    """A wallet's home; None where it never had one."""
    with deps.database.begin() as db:
        row = db.get(Home, wallet)
        return None if row is None else _view(deps, db, row)


def homes(deps: Deps, limit: int = 1_000) -> list[HomeView]:
    """All homes, the largest first."""
    with deps.database.begin() as db:
        rows = db.exec(select(Home).order_by(col(Home.bytes_used).desc(), col(Home.wallet)).limit(limit))
        return [_view(deps, db, row) for row in rows.all()]


def _view(deps: Deps, db: Session, row: Home) -> HomeView:
    rules, wallet = deps.settings.storage, row.wallet
    notice_ms = rules.notice_days * 86_400_000
    live = select(GpuSession.id).where(GpuSession.wallet == wallet, col(GpuSession.state).in_(sorted(LIVE)))
    return HomeView(
        wallet=wallet,
        state=row.state,
        host=row.host,
        bytes_used=row.bytes_used,
        is_shared=bool(rules.shared),
        quota_bytes=rules.quota_bytes if row.quota_bytes is None or rules.shared else row.quota_bytes,
        measured_at_ms=row.measured_at_ms,
        billed=rules.billed,
        per_day_gpu_ms=gpu_ms_per_day(row.bytes_used, rules.gpu_ms_per_gb_hour),
        balance_gpu_ms=ledger.balance(db, wallet).gpu_ms,
        floor_gpu_ms=rules.floor_gpu_ms,
        days_left=storage_life.left_days(deps, db, row),
        warned_at_ms=row.warned_at_ms,
        prune_at_ms=None if row.warned_at_ms is None else row.warned_at_ms + notice_ms,
        recovery_until_ms=row.recovery_until_ms,
        under_way=home_orders.under_way(db, wallet),
        has_session=db.exec(live).first() is not None,
        snapshots_most=rules.most_snapshots,
        snapshots=_snapshots(db, row) if rules.most_snapshots else [],
        events=_events(db, wallet),
    )


def _snapshots(db: Session, row: Home) -> list[SnapshotView]:
    query = select(HomeSnapshot).where(HomeSnapshot.wallet == row.wallet)
    found = db.exec(query.order_by(col(HomeSnapshot.created_at_ms).desc())).all()
    return [SnapshotView(s.name, s.why, s.created_at_ms, s.host == row.host) for s in found]


def _events(db: Session, wallet: str) -> list[EventView]:
    query = select(HomeEvent).where(HomeEvent.wallet == wallet).order_by(col(HomeEvent.id).desc())
    return [EventView(e.at_ms, e.event, e.actor, e.detail) for e in db.exec(query.limit(EVENTS))]

"""The operator's overview: hosts, GPUs, sessions, queue, chain watcher, and which processes are there."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, text
from sqlalchemy.engine import make_url
from sqlmodel import Session, col, select

from controller.domain.lifecycle import LIVE
from controller.models import ChainCursor, Gpu, GpuSession, Host, Run
from controller.services.alerts import Alert, open_alerts
from controller.services.deps import Deps
from controller.services.money.invariants import LastCheck, last_check
from controller.services.pool.waiting import Waiting, list_waiting
from controller.services.queue import promises as queue_promises
from controller.services.queue.promises import PromiseCount
from controller.services.runs.figures import RunFigures, run_figures
from controller.settings import Settings
from controller.settings_money import Chain

WORKER_NAME = "axonos-worker"
_WORKERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name"
)


@dataclass(frozen=True)
class Watcher:
    """How far the chain was read, and why the watcher stands still if it does."""

    chain_id: int
    block_number: int | None
    stopped_why: str | None
    name: str = ""


@dataclass(frozen=True)
class Status:
    """Figures of one moment. GPU and session counts by state."""

    instance: str
    mode: str
    simulated: bool
    hosts: dict[str, str]
    last_report_ms_ago: dict[str, int | None]
    gpus: dict[str, int]
    sessions: dict[str, int]
    queue: int
    promises: PromiseCount
    runs_waiting: int
    runs: RunFigures
    pool: list[Waiting]
    watcher: Watcher
    watchers: list[Watcher]
    alerts: list[Alert]
    journal: LastCheck | None
    worker_connected: bool


def status(deps: Deps) -> Status:
    """Read everything in one transaction.

    Raises:
        DatabaseUnavailable: nothing can be said then.
    """
    settings, now = deps.settings, deps.clock.now_ms()
    with deps.database.begin() as db:
        hosts = db.exec(select(Host).where(Host.state != "removed").order_by(col(Host.name))).all()
        sessions = _count(db, GpuSession.state, only_live=True)
        return Status(
            instance=settings.instance,
            mode=settings.mode,
            simulated=any(host.simulated for host in hosts),
            hosts={host.name: host.state for host in hosts},
            last_report_ms_ago={
                h.name: None if h.last_report_at_ms is None else max(0, now - h.last_report_at_ms)
                for h in hosts
            },
            gpus=_count(db, Gpu.state),
            sessions={k: v for k, v in sessions.items() if k != "queued"},
            queue=sessions.get("queued", 0),
            promises=queue_promises.counted(db),
            runs_waiting=db.exec(
                select(func.count()).select_from(Run).where(col(Run.state).in_(("queued", "running")))
            ).one(),
            runs=run_figures(db),
            pool=list_waiting(db),
            watcher=_watcher(db, settings.chain),
            watchers=[_watcher(db, chain) for chain in settings.chains],
            alerts=open_alerts(db),
            journal=last_check(db),
            worker_connected=bool(db.connection().execute(_WORKERS, {"name": WORKER_NAME}).scalar()),
        )


def with_application_name(settings: Settings, name: str) -> Settings:
    """The same settings, with database connections that show which process they belong to."""
    url = make_url(settings.database.url).update_query_dict({"application_name": name})
    shown = url.render_as_string(hide_password=False)
    return settings.model_copy(update={"database": settings.database.model_copy(update={"url": shown})})


def _count(db: Session, state: str, *, only_live: bool = False) -> dict[str, int]:
    query = select(col(state), func.count()).group_by(col(state))
    if only_live:
        query = query.where(col(state).in_(sorted(LIVE)))
    return {name: int(number) for name, number in db.exec(query)}


def _watcher(db: Session, chain: Chain) -> Watcher:
    cursor = db.get(ChainCursor, chain.chain_id)
    if cursor is None:
        return Watcher(chain.chain_id, None, None, chain.name)
    return Watcher(chain.chain_id, cursor.block_number, cursor.stopped_why, chain.name)

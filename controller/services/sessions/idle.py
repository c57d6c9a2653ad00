"""Idle truth: measures of guards come in, owners are told, and what stays idle is ended. Off by default.

Only desktops: a shell's owner may be anywhere, and works by what runs. Billing in grace is paused anyway.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session, col, select, update

from controller.domain import idle
from controller.errors import BadInput, WrongState
from controller.models import DesktopWarning, Gpu, GpuSession, Host, Slot, Wallet
from controller.services.deps import Deps
from controller.services.sessions import ends, life
from controller.services.sessions.reads import view
from controller.services.sessions.views import SessionView
from controller.settings import Settings

MOST_MINUTES = 10_080
OPEN = ("queued", "starting", "running", "grace")


class SlotActivity(BaseModel):
    """What a guard saw of one container between two instants; null where it could not."""

    model_config = ConfigDict(extra="ignore")
    slot: str = Field(pattern=r"^s-[0-9a-f]{12}$")
    from_ms: int = Field(gt=0)
    to_ms: int = Field(gt=0)
    input: bool | None = None
    cpu_percent: float | None = Field(default=None, ge=0)
    io_kib_per_s: float | None = Field(default=None, ge=0)


def choose(deps: Deps, wallet: str, session_id: str, minutes: int) -> SessionView:
    """Its owner says how long one desktop may be idle before it ends by itself; 0: for ever.

    Raises:
        NotYours: no such session of this wallet.
        BadInput: more than a week.
        WrongState: it is a shell, or over.
    """
    _check(minutes)
    with deps.database.begin() as db:
        row = life.lock(db, session_id, wallet)
        if row.kind != "desktop" or row.state not in OPEN:
            raise WrongState(state=row.state)
        _choose(db, row, minutes, deps.clock.now_ms())
        return view(db, row)


def choose_for_all(deps: Deps, wallet: str, minutes: int) -> int:
    """A wallet says how long its desktops may be idle: new ones, and one that is live now; 0: for ever.

    Returns:
        the minutes, as kept.

    Raises:
        BadInput: more than a week.
    """
    _check(minutes)
    live = select(GpuSession.id).where(
        GpuSession.wallet == wallet, GpuSession.kind == "desktop", col(GpuSession.state).in_(OPEN)
    )
    with deps.database.begin() as db:
        db.exec(update(Wallet).where(col(Wallet.address) == wallet).values(idle_minutes=minutes))
        for session_id in db.exec(live).all():
            row = life.lock(db, session_id)
            if row.state in OPEN:
                _choose(db, row, minutes, deps.clock.now_ms())
    return minutes


def of_wallet(db: Session, wallet: str) -> int:
    """What a wallet chose for its desktops."""
    return db.exec(select(Wallet.idle_minutes).where(Wallet.address == wallet)).first() or 0


def _check(minutes: int) -> None:
    if minutes > MOST_MINUTES:
        raise BadInput(f"`minutes` must be 0 to {MOST_MINUTES}.", field="minutes")


def _choose(db: Session, row: GpuSession, minutes: int, now_ms: int) -> None:
    row.idle_minutes = minutes
    touched(row, now_ms)
    db.add(row)


def touched(row: GpuSession, now_ms: int) -> None:
    """Its owner is there: nothing before this instant counts as idle. The row must be locked."""
    row.active_at_ms = max(now_ms, row.active_at_ms or 0)
    row.measured_at_ms = max(now_ms, row.measured_at_ms or 0)


def wanted(settings: Settings, chosen: Iterable[int]) -> bool:
    """Whether a guard is to measure: a desktop of its host may end for being idle.

    Args:
        settings: the operator's.
        chosen: minutes that the owners of running desktops chose, one for each desktop.
    """
    return any(idle.after_ms(settings.idle.end_after_minutes, minutes) for minutes in chosen)


def note(
    deps: Deps, db: Session, host: str, activity: list[SlotActivity], gpu_percents: dict[str, float]
) -> None:
    """Take in what a guard saw of its desktops."""
    limits = _limits(deps.settings)
    for seen in sorted(activity, key=lambda one: one.slot):
        row = _running_in(db, host, seen.slot)
        if row is not None:
            gpu = _gpu_percent(db, seen.slot, gpu_percents)
            measure = idle.Measure(**seen.model_dump(exclude={"slot"}), gpu_percent=gpu)
            _keep(row, idle.measured(_known(row, measure), measure, limits))
            db.add(row)


def look(deps: Deps) -> int:
    """Tell owners of idle desktops, and end those that stayed idle after that; how many of both."""
    query = select(GpuSession.id).where(
        GpuSession.state == "running", col(GpuSession.measured_at_ms) - col(GpuSession.active_at_ms) >= 60_000
    )
    with deps.database.begin() as db:
        ids = list(db.exec(query.order_by(col(GpuSession.id))))
    return sum(_act(deps, session_id) for session_id in ids)


def _act(deps: Deps, session_id: str) -> bool:
    with deps.database.begin() as db:
        row = life.lock(db, session_id)
        if row.state != "running" or row.active_at_ms is None or row.measured_at_ms is None:
            return False
        known = idle.Idle(row.active_at_ms, row.measured_at_ms, row.idle_noticed_at_ms)
        notice_ms = deps.settings.idle.notice_minutes * 60_000
        due = idle.decide(known, _after_ms(row, deps.settings), notice_ms)
        if due == "notice":
            _tell(deps, db, row, known.idle_ms)
        elif due == "end":
            why = f"nothing happened there for {known.idle_ms // 60_000} minutes"
            ends.begin_end(db, row, known.measured_at_ms, why, deps.clock.now_ms())
        return due != "nothing"


def _tell(deps: Deps, db: Session, row: GpuSession, idle_ms: int) -> None:
    assert row.measured_at_ms is not None
    row.idle_noticed_at_ms = row.measured_at_ms
    minutes, left = idle_ms // 60_000, deps.settings.idle.notice_minutes
    said = (
        f"No input, CPU, GPU or disk activity for {minutes} minutes: this desktop ends in {left} minutes,"
        " files are kept. Move the mouse to keep it."
    )
    key = f"{row.id}:idle:{row.active_at_ms}"
    warning = DesktopWarning(
        session_id=row.id, key=key, text=said, urgency="critical", created_at_ms=deps.clock.now_ms()
    )
    db.add(warning)
    db.add(row)


def _running_in(db: Session, host: str, slot: str) -> GpuSession | None:
    query = (
        select(GpuSession)
        .join(Slot, col(Slot.id) == col(GpuSession.slot_id))
        .where(
            Slot.host == host,
            Slot.id == slot,
            GpuSession.state == "running",
            GpuSession.kind == "desktop",
        )
        .with_for_update(key_share=True, of=GpuSession)
    )
    return db.exec(query).first()


def _gpu_percent(db: Session, slot: str, percents: dict[str, float]) -> float | None:
    """The busiest of a slot's GPUs; a simulated one is never busy, one that says nothing is unknown."""
    query = select(Gpu.uuid, Host.simulated).join(Host, col(Host.name) == col(Gpu.host))
    rows = db.exec(query.where(Gpu.slot_id == slot)).all()
    found = [0.0 if simulated else percents.get(uuid) for uuid, simulated in rows]
    known = [percent for percent in found if percent is not None]
    return max(known, default=0.0) if len(known) == len(found) else None


def _known(row: GpuSession, measure: idle.Measure) -> idle.Idle:
    """What was known before; of a desktop never measured, nothing up to this measure."""
    if row.active_at_ms is None or row.measured_at_ms is None:
        return idle.Idle(measure.from_ms, measure.from_ms)
    return idle.Idle(row.active_at_ms, row.measured_at_ms, row.idle_noticed_at_ms)


def _keep(row: GpuSession, known: idle.Idle) -> None:
    row.active_at_ms, row.measured_at_ms = known.active_at_ms, known.measured_at_ms
    row.idle_noticed_at_ms = known.noticed_at_ms


def _limits(settings: Settings) -> idle.Limits:
    own = settings.idle
    return idle.Limits(own.cpu_percent, own.gpu_percent, own.io_kib_per_s)


def _after_ms(row: GpuSession, settings: Settings) -> int:
    return idle.after_ms(settings.idle.end_after_minutes, row.idle_minutes)

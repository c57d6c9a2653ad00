"""Answers a guard's report: proof of life in, leases, orphans to stop and warnings out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlmodel import Session, col, select, update

from controller.errors import BadInput
from controller.models import DesktopWarning, GpuSession, Host, Run, Slot
from controller.services import (
    idle,
    lease_renewals,
    observations,
    pool_reports,
    runs,
    shell_reports,
    storage_sizes,
)
from controller.services.deps import Deps

STOP_BY_GUARD_AFTER_MS = 30_000  # a stop run that has not come through by then is helped by the guard


class SlotReport(BaseModel):
    """One container, as the guard protocol has it."""

    model_config = ConfigDict(extra="ignore")
    slot: str = Field(pattern=r"^s-[0-9a-f]{12}$")
    container_id: str | None = None
    state: str = Field(pattern=r"^(running|exited|missing)$")
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    opened: bool = False


class Report(BaseModel):
    """A guard's report. Unknown fields are ignored, so guards may be newer than the controller."""

    model_config = ConfigDict(extra="ignore")
    host: str
    boot_id: str = ""
    at_ms: int = Field(gt=0)
    slots: list[SlotReport] = Field(max_length=4096)
    delivered: list[int] = Field(default=[], max_length=4096)
    homes: dict[str, int] | None = Field(default=None, max_length=100_000)
    activity: list[idle.SlotActivity] = Field(default=[], max_length=4096)
    gpu_percents: dict[str, float] = Field(default={}, max_length=4096)
    health: dict[str, Any] | None = None


def report(deps: Deps, body: dict[str, Any]) -> dict[str, Any]:
    """Take one report; the route has checked the guard's token.

    Args:
        deps: ports.
        body: JSON of the guard protocol.

    Returns:
        leases to write, slots to stop, warnings to deliver, the clocks of shells, quotas of homes where they
        were counted, whether to measure activity, and when to report again.

    Raises:
        BadInput: malformed, or from a host that is not registered.
    """
    said = _parse(body)
    slots = [slot.model_dump() for slot in said.slots]
    with deps.database.begin() as db:
        _heard(db, said, deps.clock.now_ms())
        orphans = observations.note(deps, db, said.host, slots, said.at_ms)
        opened = (slot.slot for slot in said.slots if slot.opened)
        shell_reports.note_opened(db, said.host, opened, deps.clock.now_ms())
    observations.act(deps, said.host, slots, said.at_ms)
    quotas = storage_sizes.note(deps, said.host, said.homes, said.at_ms) if said.homes else None
    now, running = deps.clock.now_ms(), _running(said)
    with deps.database.begin() as db:
        idle.note(deps, db, said.host, said.activity, said.gpu_percents)
        leases, next_ms = lease_renewals.renew(deps, db, said.host, running, said.at_ms)
        return {
            "leases": leases + pool_reports.leases(deps, db, said.host, running, said.at_ms),
            "stop": sorted({*orphans, *_overdue(db, said, now)}),
            "warnings": _warnings(db, said.host),
            "clocks": shell_reports.clocks(deps, db, said.host),
            "next_ms": next_ms,
            "now_ms": deps.clock.now_ms(),
            "measure": idle.wanted(db, deps.settings, said.host),
            **({"quotas": quotas} if quotas else {}),
        }


def _parse(body: dict[str, Any]) -> Report:
    try:
        return Report.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _heard(db: Session, said: Report, now_ms: int) -> None:
    host = db.exec(select(Host).where(Host.name == said.host).with_for_update(key_share=True)).first()
    if host is None or host.state == "removed":
        raise BadInput("This host is not registered.", host=said.host[:60])
    host.boot_id, host.last_report_at_ms = said.boot_id, now_ms
    if said.health is not None:
        host.health, host.health_at_ms = said.health, now_ms
    if host.state == "lost":
        host.state = "draining" if host.drain else "ready"
    db.add(host)
    if said.delivered:
        mine = select(GpuSession.id).join(Slot, col(Slot.id) == col(GpuSession.slot_id))
        done = update(DesktopWarning).where(
            col(DesktopWarning.id).in_(said.delivered),
            col(DesktopWarning.session_id).in_(mine.where(Slot.host == said.host)),
            col(DesktopWarning.delivered_at_ms).is_(None),
        )
        db.exec(done.values(delivered_at_ms=now_ms))


def _running(said: Report) -> set[str]:
    return {slot.slot for slot in said.slots if slot.state == "running"}


def _overdue(db: Session, said: Report, now_ms: int) -> list[str]:
    """Containers whose stop run has been waiting for long: the guard can stop them where it stands."""
    query = (
        select(Slot.id)
        .join(Run, col(Run.slot_id) == col(Slot.id))
        .where(
            Slot.host == said.host,
            Slot.state == "stopping",
            Run.playbook == runs.STOP,
            col(Run.state).in_(("queued", "running")),
            Run.created_at_ms < now_ms - STOP_BY_GUARD_AFTER_MS,
        )
    )
    running = {slot.slot for slot in said.slots if slot.state == "running"}
    return [slot for slot in db.exec(query) if slot in running]


def _warnings(db: Session, host: str) -> list[dict[str, Any]]:
    query = (
        select(DesktopWarning, GpuSession.slot_id)
        .join(GpuSession, col(GpuSession.id) == col(DesktopWarning.session_id))
        .join(Slot, col(Slot.id) == col(GpuSession.slot_id))
        .where(Slot.host == host, Slot.state == "up", col(DesktopWarning.delivered_at_ms).is_(None))
        .order_by(col(DesktopWarning.id))
    )
    return [
        {"id": warning.id, "slot": slot, "text": warning.text, "urgency": warning.urgency}
        for warning, slot in db.exec(query)
    ]

"""Answers a guard's report: proof of life in, leases, orphans to stop and warnings out."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import text
from sqlmodel import Session, col, select, update

from controller.errors import BadInput
from controller.models import DesktopWarning, GpuSession, Run, Slot
from controller.services.deps import Deps
from controller.services.durability import LAZILY
from controller.services.homes import storage_sizes
from controller.services.pool import reports as pool_reports
from controller.services.reports import lease_renewals, observations, shell_reports
from controller.services.runs import orders as runs
from controller.services.sessions import idle

STOP_BY_GUARD_AFTER_MS = 30_000  # a stop run that has not come through by then is helped by the guard

# The host's state is not named here: whoever sets one to `ready` wakes the queue.
_HEARD = text(
    f"""
    UPDATE host SET boot_id = :boot, last_report_at_ms = :now,
        health = coalesce(CAST(:health AS jsonb), health),
        health_at_ms = CASE WHEN CAST(:health AS text) IS NULL THEN health_at_ms ELSE :now END
    WHERE name = :name AND state <> 'removed' RETURNING state, {LAZILY}
    """  # noqa: S608 - words of this program only
)
# A home that is made on the host's own disk would be missing everywhere else: nobody starts there any more.
_KEEP_OFF = text(
    "UPDATE host SET drain = true, state = 'draining' WHERE name = :name AND state IN ('ready', 'draining')"
)
_UNDELIVERED = text(
    """
    SELECT w.id, s.slot_id AS slot, w.text, w.urgency
    FROM warning w JOIN gpu_session s ON s.id = w.session_id JOIN slot ON slot.id = s.slot_id
    WHERE slot.host = :host AND slot.state = 'up' AND w.delivered_at_ms IS NULL ORDER BY w.id
    """
)
_BACK = text("UPDATE host SET state = CASE WHEN drain THEN 'draining' ELSE 'ready' END WHERE name = :name")


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
        _heard(db, said, deps.clock.now_ms(), shared=bool(deps.settings.storage.shared))
        noted = observations.note(deps, db, said.host, slots, said.at_ms)
        opened = (slot.slot for slot in said.slots if slot.opened)
        shell_reports.note_opened(db, said.host, opened, deps.clock.now_ms())
        if not (noted.lost or said.homes or said.activity):  # as a rule: one short transaction for all
            return _answer(deps, db, said, noted)
    if noted.lost:
        observations.act(deps, said.host, slots, said.at_ms)
    quotas = storage_sizes.note(deps, said.host, said.homes, said.at_ms) if said.homes else None
    with deps.database.begin() as db:
        idle.note(deps, db, said.host, said.activity, said.gpu_percents)
        return _answer(deps, db, said, noted) | ({"quotas": quotas} if quotas else {})


def _answer(deps: Deps, db: Session, said: Report, noted: observations.Noted) -> dict[str, Any]:
    running = _running(said)
    renewed = lease_renewals.renew(deps, db, said.host, running, said.at_ms)
    leases = renewed.leases
    if noted.states & {"intended", "warm"}:
        leases = leases + pool_reports.leases(deps, db, said.host, running, said.at_ms)
    overdue = _overdue(db, said, deps.clock.now_ms()) if "stopping" in noted.states else []
    return {
        "leases": leases,
        "stop": sorted({*noted.orphans, *overdue}),
        "warnings": _warnings(db, said.host) if renewed.kinds else [],
        "clocks": shell_reports.clocks(deps, db, said.host) if "ssh" in renewed.kinds else [],
        "next_ms": renewed.next_ms,
        "now_ms": deps.clock.now_ms(),
        "measure": idle.wanted(deps.settings, renewed.idle_minutes),
    }


def _parse(body: dict[str, Any]) -> Report:
    try:
        return Report.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _heard(db: Session, said: Report, now_ms: int, *, shared: bool) -> None:
    health = None if said.health is None else json.dumps(said.health)
    heard = {"name": said.host, "boot": said.boot_id, "now": now_ms, "health": health}
    state = db.connection().execute(_HEARD, heard).scalar()
    if state is None:
        raise BadInput("This host is not registered.", host=said.host[:60])
    if state == "lost":
        db.connection().execute(_BACK, {"name": said.host})
    if shared and (said.health or {}).get("homes_btrfs"):
        db.connection().execute(_KEEP_OFF, {"name": said.host})
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
    return [dict(row) for row in db.connection().execute(_UNDELIVERED, {"host": host}).mappings()]

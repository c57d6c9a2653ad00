"""What a host says about its containers, by guard report or probe run: proof of life, losses, orphans.

`note` writes proof of life inside the caller's transaction; `act` ends what was lost, session by session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import Session, select

from controller.domain.metering import proof_of_life
from controller.models import GpuSession, Slot
from controller.services.deps import Deps
from controller.services.pool import reports as pool_reports
from controller.services.sessions import ends, expiry, life
from controller.services.sessions.end_words import DESKTOP_GONE

CLOCK_STEP_MS = 1_000
LIST_AGE_MS = 5_000  # a container younger than this may be missing from a list that was being made


_KNOWN = """
    SELECT id, state, container_id, started_at_ms, last_alive_ms FROM slot
    WHERE host = :host AND state <> 'gone' ORDER BY id"""
_PROVE = text(
    "UPDATE slot SET last_alive_ms = greatest(last_alive_ms, CAST(:at AS bigint)) WHERE id = ANY(:ids)"
)


@dataclass(frozen=True)
class Known:
    """A slot of a host as the database has it."""

    id: str
    state: str
    container_id: str | None
    started_at_ms: int | None
    last_alive_ms: int | None


@dataclass(frozen=True)
class Seen:
    """One container as a host sees it."""

    slot: str
    state: str
    container_id: str | None
    started_at_ms: int | None
    finished_at_ms: int | None


@dataclass(frozen=True)
class Noted:
    """What a list of containers came to.

    Attributes:
        orphans: slots that run on the host and belong to nothing here.
        lost: whether a container may be gone that ought to run; `act` looks closely.
        states: of the host's slots.
    """

    orphans: list[str]
    lost: bool
    states: frozenset[str]


@dataclass(frozen=True)
class Lost:
    """A desktop whose container is no longer there. It is billed to its last proof of life.

    What the engine says about when it ended is no proof: after a reboot or a killed engine it is wrong.
    """

    slot: str


def parse(slots: list[dict[str, Any]]) -> dict[str, Seen]:
    """Containers by slot id."""
    return {
        str(s["slot"]): Seen(
            str(s["slot"]),
            str(s["state"]),
            s.get("container_id"),
            s.get("started_at_ms"),
            s.get("finished_at_ms"),
        )
        for s in slots
    }


def note(deps: Deps, db: Session, host: str, slots: list[dict[str, Any]], at_ms: int) -> Noted:
    """Write proof of life for every running container that is the one we started.

    Args:
        deps: ports.
        db: open transaction.
        host: who reports.
        slots: as in the guard protocol.
        at_ms: the host's clock when it looked.
    """
    now = deps.clock.now_ms()
    containers = parse(slots)
    known = _known(db, host, lock=True)
    alive = []
    for slot in known:
        seen = containers.get(slot.id)
        if seen and seen.state == "running" and _same(slot, seen) and slot.last_alive_ms is not None:
            alive.append(slot.id)
    # One statement for all of a host; `proof_of_life` with what each row holds by then.
    if alive:
        db.connection().execute(_PROVE, {"ids": alive, "at": proof_of_life(None, at_ms, now)})
    ours = {slot.id for slot in known}
    return Noted(
        sorted(s for s, seen in containers.items() if s not in ours and seen.state != "missing"),
        any(_is_lost(slot, containers.get(slot.id), at_ms) for slot in known),
        frozenset(slot.state for slot in known),
    )


def act(deps: Deps, host: str, slots: list[dict[str, Any]], at_ms: int) -> int:
    """End the sessions whose containers are gone or were replaced, each billed to its last proof of life.

    Returns:
        how many were lost.
    """
    with deps.database.begin() as db:
        containers = parse(slots)
        found = [_lost(slot, containers.get(slot.id), at_ms) for slot in _known(db, host, lock=False)]
    lost = [loss for loss in found if loss is not None]
    for loss in lost:
        _end_lost(deps, loss)
    return len(lost) + pool_reports.drop_lost(deps, host, slots, at_ms)


def _known(db: Session, host: str, *, lock: bool) -> list[Known]:
    query = f"{_KNOWN} FOR NO KEY UPDATE" if lock else _KNOWN
    return [Known(*row) for row in db.connection().execute(text(query), {"host": host})]


def _same(slot: Known, seen: Seen) -> bool:
    """The container we started, running since then; one that was started again is another desktop."""
    if None not in (slot.container_id, seen.container_id) and slot.container_id != seen.container_id:
        return False
    return (seen.started_at_ms or 0) <= (slot.started_at_ms or 2**62) + CLOCK_STEP_MS


def _lost(slot: Known, seen: Seen | None, at_ms: int) -> Lost | None:
    """A desktop of the pool is no session's: `pool/reports` sees to it."""
    return Lost(slot.id) if slot.state == "up" and _is_lost(slot, seen, at_ms) else None


def _is_lost(slot: Known, seen: Seen | None, at_ms: int) -> bool:
    """Only what was up, or waited painted, can be lost; an intended slot is the start run's business."""
    if slot.state not in ("up", "warm") or at_ms < (slot.started_at_ms or 0) + LIST_AGE_MS:
        return False
    return seen is None or seen.state != "running" or not _same(slot, seen)


def _end_lost(deps: Deps, loss: Lost) -> None:
    with deps.database.begin() as db:
        found = db.exec(select(GpuSession.id).where(GpuSession.slot_id == loss.slot)).one()
        row = life.lock(db, found)
        slot = db.exec(select(Slot).where(Slot.id == loss.slot).with_for_update(key_share=True)).one()
        if slot.state != "up":
            return
        now = deps.clock.now_ms()
        if row.state in ("running", "grace"):
            # A lease ends with grace: the guard may have stopped the container a moment before we looked.
            if row.state == "running" or not expiry.end_if_due(deps, db, row, now):
                ends.begin_end(db, row, slot.last_alive_ms or 0, DESKTOP_GONE, now)
        else:
            ends.stop_slot(db, slot.id, row.id, now)

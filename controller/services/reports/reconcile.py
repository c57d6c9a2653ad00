"""Database and hosts, compared both ways where no guard reports: silent hosts, expired leases, lost intents.

A reporting guard is the usual way (`guard_reports`); this is for its absence and for what a crash left.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session, col, select

from controller.models import Host, Run, Slot
from controller.services.deps import Deps
from controller.services.homes import shared as home_shared
from controller.services.hosts import gpu_hygiene
from controller.services.runs import orders as runs
from controller.services.runs.slots import LEASE_SLACK_MS
from controller.services.sessions import ends, life
from controller.services.sessions.end_words import HOST_GONE

SILENT_MS = 15_000
PROBE_EVERY_MS = 60_000

# Slots whose session is over, or whose lease ran out without a word, and that nobody is stopping.
_STRAYS = text(
    """
    SELECT slot.id, s.id AS session_id FROM slot JOIN gpu_session s ON s.slot_id = slot.id
    WHERE slot.state IN ('intended', 'up')
      AND (s.state IN ('failed', 'ended', 'ending')
           OR (slot.state = 'up' AND slot.lease_until_ms + :slack < :now))
    ORDER BY slot.id
    """
)
# Sessions that end on a host which went silent, and whose lease has run out meanwhile.
_STRANDED = text(
    """
    SELECT s.id FROM gpu_session s JOIN slot ON slot.id = s.slot_id JOIN host ON host.name = slot.host
    WHERE s.state = 'ending' AND slot.state = 'stopping' AND host.state = 'lost'
      AND slot.lease_until_ms + :slack < :now
    ORDER BY s.id
    """
)


def reconcile(deps: Deps) -> int:
    """Mark silent hosts, probe them, and end what has no proof of life any more.

    Returns:
        how many sessions or slots were acted on.
    """
    now = deps.clock.now_ms()
    with deps.database.begin() as db:
        _mark_silent(db, now)
        _probe_silent(db, now)
        gpu_hygiene.ask(db, now)
        stranded = list(db.connection().execute(_STRANDED, {"now": now, "slack": LEASE_SLACK_MS}).scalars())
        strays = list(db.connection().execute(_STRAYS, {"now": now, "slack": LEASE_SLACK_MS}).all())
    for stray in strays:
        _end_stray(deps, stray.session_id, stray.id)
    for session_id in stranded:
        _let_go(deps, session_id)
    home_shared.take_over(deps)
    return len(strays) + len(stranded)


def _mark_silent(db: Session, now: int) -> None:
    silent = select(Host).where(
        col(Host.state).in_(("ready", "draining")), col(Host.last_report_at_ms) < now - SILENT_MS
    )
    for host in db.exec(silent.with_for_update(skip_locked=True, key_share=True)):
        host.state = "lost"
        db.add(host)


def _probe_silent(db: Session, now: int) -> None:
    """Ask a lost host directly, now and then: its containers may well be alive."""
    for host in db.exec(select(Host.name).where(Host.state == "lost")).all():
        recent = select(Run.id).where(
            Run.host == host, Run.playbook == runs.PROBE, Run.created_at_ms > now - PROBE_EVERY_MS
        )
        if db.exec(recent).first() is None:
            runs.enqueue(db, runs.PROBE, host, now)


def _end_stray(deps: Deps, session_id: str, slot_id: str) -> None:
    with deps.database.begin() as db:
        row = life.lock(db, session_id)
        slot = db.exec(select(Slot).where(Slot.id == slot_id)).one()
        now = deps.clock.now_ms()
        if row.state in ("running", "grace") and slot.lease_until_ms + LEASE_SLACK_MS < now:
            ends.begin_end(db, row, slot.last_alive_ms or 0, HOST_GONE, now)
        elif row.state in ("failed", "ended", "ending"):
            ends.stop_slot(db, slot_id, row.id, now)


def _let_go(deps: Deps, session_id: str) -> None:
    """A dead host must not keep a person from a new session: theirs is over, its slot and GPUs stay taken.

    Its guard stopped the desktop when the lease ran out, if the host lives at all; the stop run goes on.
    """
    with deps.database.begin() as db:
        row = life.lock(db, session_id)
        if row.state == "ending":
            ends.finish_end(db, row, deps.clock.now_ms())

"""Leases for the desktops a guard reports, one statement for all of a host, and when to report again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from controller.services.deps import Deps
from controller.services.runs import slots

NEXT_MS = 2_000
SOONEST_MS = 200
JUST_AFTER_MS = 50

# `until` is never past the instant at which the session must have ended: end of balance and grace.
_RENEW = text(
    """
    WITH mine AS (
        SELECT slot.id, s.state, s.kind, s.idle_minutes,
               CASE s.state WHEN 'grace' THEN s.grace_until_ms
                            WHEN 'running' THEN s.billed_to_ms + CAST(floor(
                                greatest(coalesce(a.credits - a.debits, 0), 0) / s.gpus) AS bigint)
               END AS bound_ms
        FROM slot JOIN gpu_session s ON s.slot_id = slot.id
        LEFT JOIN account a ON a.code = 'user:' || s.wallet
        WHERE slot.host = :host AND slot.state IN ('intended', 'up') AND slot.id = ANY(:running)
        ORDER BY slot.id FOR NO KEY UPDATE OF slot)
    UPDATE slot SET lease_until_ms = least(
        :until, mine.bound_ms + CASE mine.state WHEN 'running' THEN :grace ELSE 0 END)
    FROM mine WHERE slot.id = mine.id
    RETURNING slot.id, slot.lease_until_ms, slot.fencing_token, mine.state, mine.bound_ms, mine.kind,
              mine.idle_minutes
    """
)


@dataclass(frozen=True)
class Renewed:
    """Leases in order of their slots, in how many ms to report again, and what holds them.

    `kinds` of sessions; `idle_minutes`: what the owners of running desktops chose.
    """

    leases: list[dict[str, Any]]
    next_ms: int
    kinds: frozenset[str]
    idle_minutes: tuple[int, ...]


def renew(deps: Deps, db: Session, host: str, running: set[str], at_ms: int) -> Renewed:
    """A lease for every container that may go on, and in how many milliseconds to report again.

    A balance that is used up sooner than the usual pause asks for the next proof of life right after that
    instant, so that it is acted on within a second.

    Args:
        deps: ports.
        db: open transaction.
        host: who reports.
        running: slots whose containers run there.
        at_ms: the host's clock when it looked.
    """
    limits = deps.settings.sessions
    values = {
        "host": host,
        "running": sorted(running),
        "until": at_ms + slots.lease_ms(deps.settings),
        "grace": limits.grace_minutes * slots.MS_PER_MINUTE,
    }
    rows = db.connection().execute(_RENEW, values).all() if running else []
    leases = [
        {"slot": row.id, "until_ms": row.lease_until_ms, "fencing_token": row.fencing_token} for row in rows
    ]
    empty = [row.bound_ms - at_ms for row in rows if row.state == "running"]
    soon = [left + JUST_AFTER_MS for left in empty if 0 <= left < NEXT_MS]
    return Renewed(
        sorted(leases, key=lambda one: str(one["slot"])),
        max(SOONEST_MS, min([NEXT_MS, *soon])),
        frozenset(row.kind for row in rows),
        tuple(row.idle_minutes for row in rows if (row.kind, row.state) == ("desktop", "running")),
    )

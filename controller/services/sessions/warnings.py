"""Warnings into desktops and shells: the balance is nearly used up, or a guarantee is nearly over.

Each threshold comes once: per top-up for the balance, per instant for a guarantee. Where both are due both
are told, since what helps against the one does not against the other.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from controller.domain.metering import Ending, endings, warning_threshold
from controller.models import DesktopWarning
from controller.services.deps import Deps

_NEAR = text(
    """
    SELECT s.id, s.state, coalesce(a.credits, 0) AS credits,
           s.billed_to_ms + greatest(coalesce(a.credits - a.debits, 0), 0) / s.gpus AS empty_at,
           CASE WHEN p.until_ms < p.bound_ms THEN p.until_ms END AS until_ms
    FROM gpu_session s
    LEFT JOIN account a ON a.code = 'user:' || s.wallet
    LEFT JOIN queue_place p ON p.session_id = s.id
    WHERE (s.state = 'running'
           AND s.billed_to_ms + greatest(coalesce(a.credits - a.debits, 0), 0) / s.gpus <= :now + :most)
       OR (s.state IN ('running', 'grace') AND p.until_ms < p.bound_ms AND p.until_ms <= :now + :most)
    """
)


def warn(deps: Deps) -> int:
    """Write the warnings that have come due; the guards deliver them.

    Returns:
        how many were written.
    """
    thresholds = deps.settings.sessions.warn_minutes
    if not thresholds:
        return 0
    now = deps.clock.now_ms()
    written = 0
    with deps.database.begin() as db:
        for row in db.connection().execute(_NEAR, {"now": now, "most": max(thresholds) * 60_000}).all():
            empty = int(row.empty_at) if row.state == "running" else None
            for ending in endings(empty, row.until_ms):
                reached = warning_threshold(ending.at_ms - now, thresholds)
                if reached:
                    # Credits only ever grow by top-ups: the same figure is the same top-up.
                    since = int(row.credits) if ending.kind == "balance" else f"until:{ending.at_ms}"
                    words = _words(ending, reached, row.until_ms)
                    written += _write(db, row.id, f"{row.id}:{since}:{reached}", words, now)
    return written


def started_alone(db: Session, session_id: str, now_ms: int) -> None:
    """The notice inside a desktop that started while no page was watching."""
    said = (
        f"This desktop started at {_time(now_ms)}, while no page was open. Minutes have counted since then."
    )
    _write(db, session_id, f"{session_id}:started", (said, "normal"), now_ms)


def _words(ending: Ending, minutes: int, guaranteed_until_ms: int | None) -> tuple[str, str]:
    """What is said, and how urgently."""
    urgency = "critical" if minutes <= 3 else "normal"
    if ending.kind == "balance":
        said = f"Less than {minutes} minutes of credit left. Top up on the AxonOS page to keep going."
        if guaranteed_until_ms is not None:
            said += f" Your GPUs are guaranteed until {_time(guaranteed_until_ms)}, also after a top-up."
    else:
        said = (
            f"Your GPUs are guaranteed for less than {minutes} more minutes. Then this session ends if an "
            "earlier request still needs them. Save your work; files are kept."
        )
    return said, urgency


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%H:%M} UTC"


def _write(db: Session, session_id: str, key: str, words: tuple[str, str], now: int) -> int:
    values = {
        "session_id": session_id,
        "key": key,
        "text": words[0],
        "urgency": words[1],
        "created_at_ms": now,
    }
    made = insert(DesktopWarning).values(**values).on_conflict_do_nothing(index_elements=["key"])
    return len(db.execute(made.returning(col(DesktopWarning.id))).all())

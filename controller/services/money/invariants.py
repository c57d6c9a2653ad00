"""The invariants job: the journal is checked each hour, by whichever worker comes first; findings are alerts.

Bounded: the database adds up, rows are looked at only as far back as the last check and a day, and a check
that takes too long is broken off and says so. The nightly `axonos ledger audit` looks at everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from controller.errors import DatabaseUnavailable
from controller.models import LedgerCheck, OperatorAlert
from controller.services import locks
from controller.services.alerts import clear_alert, raise_alert
from controller.services.deps import Deps
from controller.services.money.audit import problems

KIND = "journal"
UNFINISHED = "check"
LONGEST_S = 120
LOOKED_BACK_MS = 24 * 3_600_000
KEPT = 200
TOLD_AT_ONCE = 20


@dataclass(frozen=True)
class LastCheck:
    """When the journal was checked last, and how much did not fit: None where it was broken off."""

    at_ms: int
    findings: int | None


def check_due(deps: Deps) -> int:
    """Check the journal if it is time; returns 1 where it was checked."""
    now_ms, pause_ms = deps.clock.now_ms(), deps.settings.ledger.check_every_minutes * 60_000
    with deps.database.begin() as db:
        if not locks.only_one(db, "invariants"):
            return 0
        last = last_check(db)
        if last is not None and last.at_ms + pause_ms > now_ms:
            return 0
        found = _problems(deps, (last.at_ms if last else 0) - LOOKED_BACK_MS)
        _tell(db, found, now_ms)
        db.add(LedgerCheck(at_ms=now_ms, findings=None if found is None else len(found)))
        kept = select(LedgerCheck.at_ms).order_by(col(LedgerCheck.at_ms).desc()).offset(KEPT).limit(1)
        db.exec(delete(LedgerCheck).where(col(LedgerCheck.at_ms) <= kept.scalar_subquery()))
    return 1


def last_check(db: Session) -> LastCheck | None:
    """The newest check; None before the first."""
    row = db.exec(select(LedgerCheck).order_by(col(LedgerCheck.at_ms).desc()).limit(1)).first()
    return None if row is None else LastCheck(row.at_ms, row.findings)


def _problems(deps: Deps, since_ms: int) -> list[str] | None:
    """What does not fit; None where it took too long."""
    try:
        with deps.database.begin() as db:
            return problems(db, since_ms, LONGEST_S)
    except DatabaseUnavailable as error:
        cause = error.__cause__
        if isinstance(cause, OperationalError) and getattr(cause.orig, "sqlstate", "") == "57014":
            return None
        raise


def _tell(db: Session, found: list[str] | None, now_ms: int) -> None:
    """Open an alert for each finding, and close those whose reason is gone."""
    if found is None:
        raise_alert(db, KIND, UNFINISHED, f"the check took longer than {LONGEST_S} s; run the audit", now_ms)
        return
    subjects = {problem[:120]: problem for problem in found[:TOLD_AT_ONCE]}
    known = select(OperatorAlert.subject).where(
        OperatorAlert.kind == KIND, col(OperatorAlert.cleared_at_ms).is_(None)
    )
    for gone in set(db.exec(known)) - subjects.keys():
        clear_alert(db, KIND, gone, now_ms)
    for subject, problem in subjects.items():
        raise_alert(db, KIND, subject, problem, now_ms)

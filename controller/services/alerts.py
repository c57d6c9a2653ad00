"""Open alerts: what the operator should look at, raised and cleared by the services that notice it.

One is open per kind and subject; raising it again changes only its words. The table keeps the past ones.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session, col, select

from controller.models import OperatorAlert
from controller.services.deps import Deps

log = logging.getLogger(__name__)

# kind -> what it is about; subjects are chain ids, `<tx hash> <position>` of a deposit, GPUs, slots.
KINDS = {
    "watcher-stopped": "a chain is not watched any more",
    "chain-unreachable": "no node of a chain has answered for minutes",
    "price-missing": "a deposit waits for a price",
    "daily-cap": "a deposit waits for the day's cap",
    "nodes-disagree": "a deposit waits until two nodes agree",
    "doubtful-token": "a token's balance did not grow by what its logs say",
    "unexplained-wei": "a revenue wallet grew by wei that no payment explains",
    "gpu-quarantined": "a GPU is not used any more",
    "promise-broken": "a waiting claim cannot start by the instant it was promised",
    "stop-fails": "a desktop cannot be stopped; its GPUs stay taken",
    "image-roll-stopped": "a host did not take an image; hosts after it were not touched",
    "clock-moved": "a controller machine's wall clock was set to another time",
    "home-order-fails": "a home cannot be put away or deleted",
    "journal": "the journal does not add up",
    "settlement": "payments by x402 cannot be settled; the reason says what is missing",
    "payment-addresses": "payments are held: their addresses were changed and no second operator approved",
}

CHAINS = {"watcher-stopped", "chain-unreachable"}

_RAISE = text("""
    INSERT INTO operator_alert (kind, subject, why, since_ms) VALUES (:kind, :subject, :why, :now)
    ON CONFLICT (kind, subject) WHERE cleared_at_ms IS NULL
        DO UPDATE SET why = excluded.why WHERE operator_alert.why <> excluded.why
    RETURNING (xmax = 0) AS is_new""")
_CLEAR = text("""
    UPDATE operator_alert SET cleared_at_ms = :now
    WHERE kind = :kind AND subject = :subject AND cleared_at_ms IS NULL""")


@dataclass(frozen=True)
class Alert:
    """One open alert: what, about what, why, and since when (milliseconds since the epoch)."""

    id: int
    kind: str
    subject: str
    why: str
    since_ms: int


def about_events() -> list[str]:
    """The kinds whose subject is a deposit."""
    return [kind for kind in KINDS if kind not in CHAINS]


def raise_alert(db: Session, kind: str, subject: str, why: str, now_ms: int) -> None:
    """Open an alert in the transaction of what it is about; a repeated call has no second effect."""
    assert kind in KINDS, kind
    values = {"kind": kind, "subject": subject, "why": why, "now": now_ms}
    if db.execute(_RAISE, values).scalar():
        log.warning("alert %s, %s: %s", kind, subject, why)


def clear_alert(db: Session, kind: str, subject: str, now_ms: int) -> None:
    """Close an alert whose reason is gone; nothing happens where none is open."""
    db.execute(_CLEAR, {"kind": kind, "subject": subject, "now": now_ms})


def acknowledge(deps: Deps, alert_id: int) -> bool:
    """Close an alert that nothing else clears; whether it was open."""
    with deps.database.begin() as db:
        found = db.exec(select(OperatorAlert).where(OperatorAlert.id == alert_id)).one_or_none()
        if found is None or found.cleared_at_ms is not None:
            return False
        found.cleared_at_ms = deps.clock.now_ms()
        db.add(found)
        return True


def open_alerts(db: Session) -> list[Alert]:
    """All that are open, the oldest first."""
    query = select(OperatorAlert).where(col(OperatorAlert.cleared_at_ms).is_(None))
    rows = db.exec(query.order_by(col(OperatorAlert.since_ms), col(OperatorAlert.id)))
    return [Alert(row.id or 0, row.kind, row.subject, row.why, row.since_ms) for row in rows]

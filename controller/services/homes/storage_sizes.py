"""What hosts say their homes take up: settled at the old size first, then written down.

A home that nobody saw for longer than `GAP_MS` is not charged for that time: its size then is not known.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlmodel import Session, col, select

from controller.domain.storage_fee import GAP_MS
from controller.models import Home
from controller.services.deps import Deps
from controller.services.homes import storage_bills

MOST = 2**62
STEP_MS = 600_000
_SAME = text(
    """
    UPDATE home SET measured_at_ms = greatest(measured_at_ms, :at)
    FROM unnest(CAST(:wallets AS text[]), CAST(:sizes AS bigint[])) AS n(wallet, size)
    WHERE home.wallet = n.wallet AND home.host = :host AND home.bytes_used = n.size
      AND home.measured_at_ms >= :seen RETURNING home.wallet"""
)


def note(deps: Deps, host: str, sizes: dict[str, int], at_ms: int) -> dict[str, Any]:
    """Write down what a host counted.

    Args:
        deps: ports.
        host: who counted; only the host that has a home is heard about it.
        sizes: bytes by wallet.
        at_ms: the host's clock; never later than ours.

    Returns:
        what the guard is to limit homes to: `default` bytes, and `others` by wallet.
    """
    at_ms = min(at_ms, deps.clock.now_ms())
    sizes = {wallet: min(max(size, 0), MOST) for wallet, size in sizes.items()}
    with deps.database.begin() as db:
        same = {
            "at": at_ms,
            "seen": at_ms - GAP_MS,
            "host": host,
            "wallets": list(sizes),
            "sizes": list(sizes.values()),
        }
        known = set(db.connection().execute(_SAME, same).scalars())
    for wallet in sorted(sizes.keys() - known):
        with deps.database.begin() as db:
            home = _locked(db, wallet, host)
            if home is not None and at_ms >= home.measured_at_ms:
                _note(deps, db, home, sizes[wallet], at_ms)
    return _quotas(deps, host)


def _locked(db: Session, wallet: str, host: str) -> Home | None:
    query = select(Home).where(Home.wallet == wallet, Home.host == host).with_for_update(key_share=True)
    return db.exec(query.execution_options(populate_existing=True)).first()


def _note(deps: Deps, db: Session, home: Home, size: int, at_ms: int) -> None:
    if not _is_too_soon(deps, db, home, at_ms):
        if home.state in storage_bills.CHARGED_STATES:
            _settle(deps, db, home, at_ms)
        home.bytes_used = size
    home.measured_at_ms = at_ms
    db.add(home)


def _is_too_soon(deps: Deps, db: Session, home: Home, at_ms: int) -> bool:
    """Somebody works in a home that is charged meanwhile: its size is adopted now and then, not always."""
    if deps.settings.storage.billed == "offline" or at_ms >= home.billed_to_ms + STEP_MS:
        return False
    return storage_bills.has_live_session(db, home.wallet, ("running", "grace"))


def _settle(deps: Deps, db: Session, home: Home, at_ms: int) -> None:
    unseen = at_ms - home.measured_at_ms > GAP_MS
    storage_bills.settle_all(deps, db, [(home, home.measured_at_ms if unseen else at_ms)])
    if unseen:
        rules = deps.settings.storage
        running = storage_bills.sessions(db, home.wallet, home.billed_to_ms, rules).running_since_ms
        to_ms = at_ms if running is None else min(at_ms, running)
        storage_bills.leave_free(db, home, to_ms, "gap", rules)


def _quotas(deps: Deps, host: str) -> dict[str, Any]:
    with deps.database.begin() as db:
        own = select(Home.wallet, Home.quota_bytes).where(
            Home.host == host, col(Home.quota_bytes).is_not(None)
        )
        return {"default": deps.settings.storage.quota_bytes, "others": dict(db.exec(own).all())}

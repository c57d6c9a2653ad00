"""Homes on a file system that all hosts share: on every host, and one host at a time may write to each.

A home's row still names that host, and its generation, which lies beside the home for every host to read:
who is named no more is refused by its own program. Nothing is sent. A host that fell silent keeps a home
until the lease of the desktop there has run out, for its guard stops it then.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from controller.errors import WrongState
from controller.models import Home, Host, Slot
from controller.services import locks
from controller.services.deps import Deps
from controller.services.runs.slots import LEASE_SLACK_MS
from controller.services.sessions.start_failures import Rest, again

# Desktops that may still live although their sessions are over, or are to start anew.
_HELD = text(
    """
    SELECT DISTINCT claim.id, slot.host FROM run JOIN slot ON slot.id = run.slot_id
    JOIN gpu_session holder ON holder.id = run.session_id
    JOIN gpu_session claim ON claim.wallet = holder.wallet
    WHERE run.state IN ('queued', 'running') AND claim.id = ANY(:ids)
      AND slot.state <> 'gone' AND slot.lease_until_ms + :slack >= :now
    """
)
_LEFT_BEHIND = text(
    """
    SELECT home.wallet FROM home JOIN host ON host.name = home.host
    WHERE host.state IN ('lost', 'removed') AND home.state <> 'gone'
      AND NOT EXISTS (SELECT 1 FROM run WHERE run.home = home.wallet AND run.state IN ('queued', 'running'))
      AND NOT EXISTS (
        SELECT 1 FROM gpu_session s
        LEFT JOIN run ON run.session_id = s.id AND run.state IN ('queued', 'running')
        JOIN slot ON slot.id IN (s.slot_id, run.slot_id)
        WHERE s.wallet = home.wallet AND slot.state <> 'gone' AND slot.lease_until_ms + :slack >= :now)
    ORDER BY home.wallet
    """
)


def hand_over(db: Session, home: Home, host: str) -> None:
    """Another host may write to a locked home from now on, and the one before may not."""
    home.host, home.generation = host, home.generation + 1
    db.add(home)
    db.flush()


def keep_off(deps: Deps, db: Session, ids: list[str], rests: dict[str, Rest]) -> dict[str, Rest]:
    """Which hosts claims are not given right now, with those that could write beside an earlier desktop.

    Args:
        deps: ports.
        db: open transaction.
        ids: queued claims.
        rests: what is known of them besides.

    Returns:
        the same, and for a claim whose wallet's desktop may still live on one host, all other hosts.
    """
    if not (deps.settings.storage.shared and ids):
        return rests
    known = {"ids": ids, "slack": LEASE_SLACK_MS, "now": deps.clock.now_ms()}
    held = db.connection().execute(_HELD, known).all()
    hosts = frozenset(db.exec(select(Host.name))) if held else frozenset()
    for claim, host in held:
        before = rests.get(claim, Rest(frozenset(), again("volume_busy")))
        rests = rests | {claim: Rest(before.hosts | hosts - {host}, before.why)}
    return rests


def take_over(deps: Deps) -> int:
    """Give homes of hosts that are lost or removed to hosts that answer; the reconciler calls this.

    Returns:
        how many.
    """
    if not deps.settings.storage.shared:
        return 0
    with deps.database.begin() as db:
        ready = db.exec(select(Host.name).where(Host.state == "ready").order_by(col(Host.name))).all()
        if not (ready and _left_behind(deps, db)):
            return 0
        locks.placement(db)  # else a home might be handed over beside a start
        left = _left_behind(deps, db)
        homes = select(Home).where(col(Home.wallet).in_(left)).order_by(col(Home.wallet))
        for number, home in enumerate(db.exec(homes.with_for_update(key_share=True)).all()):
            hand_over(db, home, ready[number % len(ready)])
    return len(left)


def check_silent(deps: Deps, db: Session, host: str) -> None:
    """A host may be given up: nothing on it can write to a home any more.

    Raises:
        WrongState: a desktop there may still live, because its lease has not run out.
    """
    if not deps.settings.storage.shared:
        return
    longest = select(func.max(Slot.lease_until_ms)).where(Slot.host == host, Slot.state != "gone")
    left_ms = (db.exec(longest).one() or 0) + LEASE_SLACK_MS - deps.clock.now_ms()
    if left_ms >= 0:
        raise WrongState(
            f"Desktops on it may write to homes for {left_ms // 1000} more seconds.", state="lost"
        )


def _left_behind(deps: Deps, db: Session) -> list[str]:
    now = {"slack": LEASE_SLACK_MS, "now": deps.clock.now_ms()}
    return list(db.connection().execute(_LEFT_BEHIND, now).scalars())

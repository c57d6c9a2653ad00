"""Hosts come and go: drained, taken into use again, removed, given up; no home and no session is forgotten.

A drained host gets no new session; those on it go on, which is how a host is upgraded without ending any.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, func, select, update

from controller.errors import NotYours, WrongState
from controller.models import Gpu, GpuSession, Home, Host, Run, Slot
from controller.models.sessions import LIVE_STATES
from controller.services import locks
from controller.services.deps import Deps
from controller.services.homes import moves as home_moves
from controller.services.homes import shared as home_shared

GIVEN_UP = "its host was given up"


@dataclass(frozen=True)
class Standing:
    """What is still on a host. `homes` live there, none of those on a file system that all hosts share.

    `homes_moving` are on their way to another one.
    """

    name: str
    state: str
    sessions: int
    slots: int
    homes: int
    homes_moving: int

    @property
    def empty(self) -> bool:
        """Whether nothing of anybody is on it."""
        return not (self.sessions or self.slots or self.homes)


def standing(deps: Deps, name: str) -> Standing:
    """What is on a host now.

    Raises:
        NotYours: no such host.
    """
    with deps.database.begin() as db:
        return _standing(deps, db, _host(db, name))


def drain(deps: Deps, name: str) -> Standing:
    """Place nothing on a host any more; what runs there goes on. Safe to repeat.

    Raises:
        NotYours: no such host.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        host = _host(db, name)
        host.drain = True
        host.state = "draining" if host.state == "ready" else host.state
        db.add(host)
        db.flush()
        return _standing(deps, db, host)


def resume(deps: Deps, name: str) -> Standing:
    """Take a drained host into use again. Safe to repeat.

    Raises:
        NotYours: no such host.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        host = _host(db, name)
        host.drain = False
        host.state = "ready" if host.state == "draining" else host.state
        db.add(host)
        db.flush()
        return _standing(deps, db, host)


def remove(deps: Deps, name: str) -> Standing:
    """Take an empty, drained host out of the platform; send away the homes that still lie on it.

    Returns:
        what is still there: state `removed` once nothing was; else its homes are on their way, ask again.

    Raises:
        NotYours: no such host.
        WrongState: it is not drained, does not answer, or sessions run on it.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        host = _host(db, name)
        found = _standing(deps, db, host)
        if host.state != "draining":
            hint = "give it up (--dead)" if host.state == "lost" else "drain it first"
            raise WrongState(f"{name} is {host.state}: {hint}.", state=host.state)
        if found.sessions or found.slots:
            raise WrongState(f"{name} still has {found.slots} desktops.", state=host.state)
        if found.homes:
            home_moves.evacuate(db, name, deps.clock.now_ms())
            return _standing(deps, db, host)
        return _removed(deps, db, host)


def give_up(deps: Deps, name: str) -> tuple[Standing, list[str]]:
    """Remove a host that will not answer again: its homes go on from their newest replicas elsewhere.

    Those on a shared file system need none.

    Should it come back, its homes are closed to it (a later generation), and what was written there after the
    replica stays there and is kept.

    Returns:
        the host, and the wallets whose home has no replica: their rows still name it.

    Raises:
        NotYours: no such host.
        WrongState: it answers, or sessions on it have not ended yet; where homes are shared, none may live.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        host = _host(db, name)
        found = _standing(deps, db, host)
        if host.state != "lost":
            raise WrongState(f"{name} is {host.state}: only a lost host is given up.", state=host.state)
        if found.sessions:
            raise WrongState(f"{found.sessions} sessions on it end when their leases do.", state=host.state)
        home_shared.check_silent(deps, db, name)
        _call_off(db, name, deps.clock.now_ms())
        lying = () if deps.settings.storage.shared else (name,)
        homes = db.exec(select(Home.wallet).where(col(Home.host).in_(lying)).order_by(col(Home.wallet))).all()
        left = [wallet for wallet in homes if not home_moves.adopt_replica(db, wallet)]
        return _removed(deps, db, host), left


def _call_off(db: Session, name: str, now_ms: int) -> None:
    """Nothing on a host that is given up is waited for: runs, slots, GPUs."""
    waiting = update(Run).where(col(Run.host) == name, col(Run.state).in_(("queued", "running")))
    db.exec(waiting.values(state="failed", error_code="called_off", finished_at_ms=now_ms))
    db.exec(
        update(Gpu)
        .where(col(Gpu.host) == name)
        .values(state="quarantined", why=GIVEN_UP, slot_id=None, dirty_at_ms=now_ms)
    )
    db.exec(
        update(Slot)
        .where(col(Slot.host) == name, col(Slot.state) != "gone")
        .values(state="gone", gone_at_ms=now_ms)
    )


def _removed(deps: Deps, db: Session, host: Host) -> Standing:
    host.state = "removed"
    db.add(host)
    db.flush()
    return _standing(deps, db, host)


def _host(db: Session, name: str) -> Host:
    host = db.exec(select(Host).where(Host.name == name).with_for_update(key_share=True)).first()
    if host is None or host.state == "removed":
        raise NotYours(f"There is no host named {name[:63]}.")
    return host


def _standing(deps: Deps, db: Session, host: Host) -> Standing:
    def count(query: object) -> int:
        return int(db.exec(query).one())  # type: ignore[call-overload]

    slots = select(func.count()).select_from(Slot).where(Slot.host == host.name, Slot.state != "gone")
    sessions = (
        select(func.count())
        .select_from(GpuSession)
        .join(Slot, col(Slot.id) == col(GpuSession.slot_id))
        .where(Slot.host == host.name, col(GpuSession.state).in_(LIVE_STATES))
    )
    lying = () if deps.settings.storage.shared else (host.name,)
    homes = select(func.count()).select_from(Home).where(col(Home.host).in_(lying), Home.state != "gone")
    moving = (
        select(func.count())
        .select_from(Run)
        .join(Home, col(Home.wallet) == col(Run.home))
        .where(
            Home.host == host.name,
            Run.playbook == home_moves.MOVE,
            Run.host != host.name,
            col(Run.state).in_(("queued", "running")),
        )
    )
    return Standing(host.name, host.state, *map(count, (sessions, slots, homes, moving)))

"""What owners do with their homes: snapshots, return to one, bring back, delete."""

from __future__ import annotations

import hashlib

from sqlmodel import Session, func, select

from controller.domain.ticket import HOME, MAX_LIFE_MS, TicketClaims, home_session, issue
from controller.errors import BadInput, HomeNotReady, HomePutAway, NotYours, WrongState
from controller.models import Home, HomeSnapshot, Host
from controller.services.deps import Deps
from controller.services.homes import orders as home_orders
from controller.services.money import ledger
from controller.services.sessions.views import StreamView


def snapshot(deps: Deps, wallet: str, why: str = "", actor: str = "") -> str:
    """Keep a home as it is now; also while a session runs.

    Args:
        deps: ports.
        wallet: whose.
        why: the owner's own words.
        actor: who wants it; the owner by default.

    Returns:
        the snapshot's name; it is there once the order has been carried out.

    Raises:
        NoHome, HomePutAway, HomeNotReady: the home is not there now.
        WrongState: `storage.snapshots` are kept already; or none ever, as on a shared file system.
    """
    _check_kept(deps)
    now = deps.clock.now_ms()
    with deps.database.begin() as db:
        home = _live(db, wallet)
        kept = db.exec(select(func.count()).select_from(HomeSnapshot).where(HomeSnapshot.wallet == wallet))
        if kept.one() >= deps.settings.storage.most_snapshots:
            raise WrongState("You keep as many snapshots as you may. Delete one first.", state=home.state)
        home_orders.give(db, home, "snapshot", now, actor or wallet, name=f"s-{now}", why=why[:200])
    return f"s-{now}"


def drop(deps: Deps, wallet: str, name: str, actor: str = "") -> None:
    """Delete a snapshot. Raises NotYours where there is none of that name, and as `snapshot` does."""
    _check_kept(deps)
    with deps.database.begin() as db:
        home = home_orders.locked(db, wallet)
        _snapshot(db, wallet, name)
        home_orders.give(db, home, "drop", deps.clock.now_ms(), actor or wallet, name=name)


def restore(deps: Deps, wallet: str, name: str, actor: str = "") -> None:
    """Make a home what it was in a snapshot; what it is now becomes a snapshot first.

    A snapshot on another host than the home, which has moved since, is brought after it.

    Raises:
        NotYours: there is no such snapshot.
        WrongState: a session is live, or the snapshot lies on a host that does not answer; or as `snapshot`.
        NoHome, HomePutAway, HomeNotReady: the home is not there now.
    """
    _check_kept(deps)
    now = deps.clock.now_ms()
    with deps.database.begin() as db:
        home = _live(db, wallet)
        where, more = _snapshot(db, wallet, name).host, {"name": name, "keep": f"s-{now}"}
        if where != home.host:
            home_orders.restore_from(db, home, where, now, actor or wallet, **more)
        else:
            home_orders.give(db, home, "restore", now, actor or wallet, **more)


def prune(deps: Deps, wallet: str, actor: str) -> None:
    """Put a home away because an operator wants it, whatever the balance.

    Raises:
        WrongState: a session is live.
        NoHome, HomePutAway, HomeNotReady: the home is not there now.
    """
    with deps.database.begin() as db:
        home = _live(db, wallet)
        home_orders.give(db, home, "prune", deps.clock.now_ms(), actor)


def recover(deps: Deps, wallet: str, actor: str = "", *, in_debt: bool = False) -> None:
    """Bring a home back that was put away.

    Args:
        deps: ports.
        wallet: whose.
        actor: who wants it; the owner by default.
        in_debt: also while the wallet owes; an operator may. It is warned and put away again in its time.

    Raises:
        NoHome: there is none, or its recovery period is over.
        WrongState: it was not put away, or the balance would let it be put away again at once.
        HomeNotReady: an order is under way.
    """
    with deps.database.begin() as db:
        home = home_orders.locked(db, wallet)
        if home.state != "pruned":
            raise WrongState("Your files are not put away.", state=home.state)
        if ledger.balance(db, wallet).gpu_ms < 0 and not in_debt:
            raise WrongState("Top up first: the debt has to be paid before.", state=home.state)
        home_orders.give(db, home, "recover", deps.clock.now_ms(), actor or wallet)


def files(deps: Deps, wallet: str) -> StreamView:
    """A single-use ticket for the files of a home, with or without a session, good for 30 s.

    Raises:
        NoHome, HomePutAway, HomeNotReady: the home is not there now.
    """
    with deps.database.begin() as db:
        home = _live(db, wallet)
        if home_orders.is_moving(db, home):
            raise HomeNotReady
        host = db.exec(select(Host).where(Host.name == home.host)).one()
        which = home_session(wallet, home.generation, home.base)
    now = deps.clock.now_ms()
    claims = TicketClaims(
        id=hashlib.sha256(deps.new_id().encode()).hexdigest()[:32],
        session=which,
        slot=HOME,
        host=host.name,
        origin=deps.settings.web.origin,
        issued_at_ms=now,
        expires_at_ms=now + MAX_LIFE_MS,
    )
    url = f"{host.gateway_url.rstrip('/')}/stream"
    return StreamView(url, issue(claims, deps.tickets.sign), claims.expires_at_ms)


def delete(deps: Deps, wallet: str, confirm: str, actor: str = "") -> None:
    """Delete a home, its snapshots and its replicas; there is no way back.

    Args:
        deps: ports.
        wallet: whose.
        confirm: the wallet's address, typed once more.
        actor: who wants it; the owner by default.

    Raises:
        BadInput: the address was not typed.
        WrongState: a session is live.
        NoHome, HomeNotReady: the home is not there, or an order is under way.
    """
    if confirm.strip().lower() != wallet:
        raise BadInput("Type the wallet's address to delete its files.", field="confirm")
    with deps.database.begin() as db:
        home = home_orders.locked(db, wallet)
        if home.state not in ("live", "pruned"):
            raise HomeNotReady
        home_orders.give(db, home, "delete", deps.clock.now_ms(), actor or wallet)


def _check_kept(deps: Deps) -> None:
    if not deps.settings.storage.most_snapshots:
        raise WrongState("No snapshots are kept here.")


def _live(db: Session, wallet: str) -> Home:
    home = home_orders.locked(db, wallet)
    if home.state in ("pruning", "pruned"):
        raise HomePutAway
    if home.state != "live":
        raise HomeNotReady
    return home


def _snapshot(db: Session, wallet: str, name: str) -> HomeSnapshot:
    found = db.get(HomeSnapshot, (wallet, name[:40]))
    if found is None:
        raise NotYours
    return found

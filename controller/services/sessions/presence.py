"""A browser comes and leaves: attach, detach, the close beacon, and stream tickets. It watches in `beats`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import select

from controller.domain import lifecycle, tabs
from controller.domain.ticket import MAX_LIFE_MS, TicketClaims, issue
from controller.errors import ShownElsewhere, WrongState
from controller.models import GpuSession, Host, Slot
from controller.services.deps import Deps
from controller.services.sessions import idle, life
from controller.services.sessions.reads import view
from controller.services.sessions.views import SessionView, StreamView


@dataclass(frozen=True)
class Tab:
    """Which tab asks, as it calls itself; empty for a program. `looks`: it only looks, without input."""

    id: str = ""
    looks: bool = False
    takes: bool = False


PROGRAM = Tab()


def attach(deps: Deps, wallet: str, session_id: str, tab: Tab = PROGRAM) -> SessionView:
    """Return to the desktop: ends a detach, and takes a close beacon back within its window.

    Raises:
        NotYours: no such session of this wallet.
        WrongState: it is not running, or has no desktop.
        ShownElsewhere: another tab works there; asked again with `takes` it is overtaken.
    """

    def come(row: GpuSession) -> None:
        beat_ms = deps.settings.sessions.heartbeat_s * 1000
        now = deps.clock.now_ms()
        if not tab.takes and tabs.must_ask(row.shown_by, tab.id, row.seen_at_ms, now, beat_ms):
            raise ShownElsewhere
        row.shown_by = tab.id
        idle.touched(row, now)

    return _step(deps, wallet, session_id, lifecycle.attached, first=come, desktop=True)


def detach(deps: Deps, wallet: str, session_id: str) -> SessionView:
    """Leave the desktop running, and billed, without a browser.

    Raises:
        NotYours: no such session of this wallet.
        WrongState: it is not running.
    """
    return _step(deps, wallet, session_id, lifecycle.detached, first=_forget_tab)


def close(deps: Deps, wallet: str, session_id: str, tab: Tab = PROGRAM) -> SessionView:
    """The close beacon: unless somebody returns within the window, the session ends at this instant.

    A tab that was overtaken, or only looked, has nothing to close.

    Raises:
        NotYours: no such session of this wallet.
    """
    with deps.database.begin() as db:
        row = life.lock(db, session_id, wallet)
        if tab.looks or tabs.overtaken(row.shown_by, tab.id):
            return view(db, row)
    return _step(deps, wallet, session_id, lifecycle.closed, first=_forget_tab)


def stream(deps: Deps, wallet: str, session_id: str, tab: Tab = PROGRAM) -> StreamView:
    """A single-use ticket for the session's stream, good for 30 s.

    Raises:
        NotYours: no such session of this wallet.
        WrongState: there is no desktop to look at.
        ShownElsewhere: another tab has taken the desktop over, and this one does not only look.
    """
    with deps.database.begin() as db:
        row = life.lock(db, session_id, wallet)
        if row.state not in lifecycle.UP or row.kind != "desktop":
            raise _wrong_state(row)
        _must_have(row, tab)
        life.keep(row, lifecycle.opened(life.life_of(row), deps.clock.now_ms()))
        if tab.looks:
            row.watched_at_ms = deps.clock.now_ms()
        db.add(row)
        slot = db.exec(select(Slot).where(Slot.id == row.slot_id)).one()
        host = db.exec(select(Host).where(Host.name == slot.host)).one()
    now = deps.clock.now_ms()
    claims = TicketClaims(
        id=hashlib.sha256(deps.new_id().encode()).hexdigest()[:32],
        session=row.id,
        slot=slot.id,
        host=host.name,
        origin=deps.settings.web.origin,
        issued_at_ms=now,
        expires_at_ms=now + MAX_LIFE_MS,
        view_only=tab.looks,
    )
    url = f"{host.gateway_url.rstrip('/')}/stream"
    return StreamView(url, issue(claims, deps.tickets.sign), claims.expires_at_ms)


def _step(
    deps: Deps,
    wallet: str,
    session_id: str,
    step: lifecycle.Step,
    *,
    first: Callable[[GpuSession], None] = lambda _: None,
    desktop: bool = False,
) -> SessionView:
    with deps.database.begin() as db:
        row = life.lock(db, session_id, wallet)
        if desktop and row.kind != "desktop":
            raise WrongState("This session is a shell: reach it over SSH.", state=row.state)
        try:
            change = step(life.life_of(row), deps.clock.now_ms())
        except lifecycle.NotPossible as error:
            raise _wrong_state(row) from error
        first(row)
        db.add(row)
        if change:
            life.write(db, row, change)
        return view(db, row)


def _wrong_state(row: GpuSession) -> WrongState:
    """What its owner is told who comes too early, or too late."""
    if row.end_reason and row.state not in lifecycle.UP:
        return WrongState(f"This session is over: {row.end_reason}.", state=row.state)
    return WrongState(state=row.state)


def _must_have(row: GpuSession, tab: Tab) -> None:
    if not tab.looks and tabs.overtaken(row.shown_by, tab.id):
        raise ShownElsewhere


def _forget_tab(row: GpuSession) -> None:
    row.shown_by = ""

"""A browser comes, watches, leaves: heartbeat, attach, detach, the close beacon, and stream tickets."""

from __future__ import annotations

import hashlib

from sqlmodel import Session, select

from controller.domain import lifecycle
from controller.domain.metering import minutes_left
from controller.domain.ticket import MAX_LIFE_MS, TicketClaims, issue
from controller.errors import WrongState
from controller.models import GpuSession, Host, Slot
from controller.services import ledger, life, metering
from controller.services.deps import Deps
from controller.services.session_reads import view
from controller.services.session_views import Meter, SessionView, StreamView


def heartbeat(deps: Deps, wallet: str, session_id: str) -> Meter:
    """A page is watching: presence, and settlement of this session up to now.

    The browser sends no duration; only the server's clock and the host's proof of life count.

    Raises:
        NotYours: no such session of this wallet.
    """
    with deps.database.begin() as db:
        row = life.lock(db, session_id, wallet)
        now = deps.clock.now_ms()
        if row.state in lifecycle.UP | {"starting"}:
            life.keep(row, lifecycle.seen(life.life_of(row), now))
            db.add(row)
        if row.state == "running":
            metering.settle(db, row, now)
        return _meter(db, row, now, max(deps.settings.sessions.warn_minutes, default=0))


def attach(deps: Deps, wallet: str, session_id: str) -> SessionView:
    """Return to the desktop: ends a detach, and takes a close beacon back within its window.

    Raises:
        NotYours: no such session of this wallet.
        WrongState: it is not running, or has no desktop.
    """
    return _step(deps, wallet, session_id, lifecycle.attached, desktop=True)


def detach(deps: Deps, wallet: str, session_id: str) -> SessionView:
    """Leave the desktop running, and billed, without a browser.

    Raises:
        NotYours: no such session of this wallet.
        WrongState: it is not running.
    """
    return _step(deps, wallet, session_id, lifecycle.detached)


def close(deps: Deps, wallet: str, session_id: str) -> SessionView:
    """The close beacon: unless somebody returns within the window, the session ends at this instant.

    Raises:
        NotYours: no such session of this wallet.
    """
    return _step(deps, wallet, session_id, lifecycle.closed)


def stream(deps: Deps, wallet: str, session_id: str) -> StreamView:
    """A single-use ticket for the session's stream, good for 30 s.

    Raises:
        NotYours: no such session of this wallet.
        WrongState: there is no desktop to look at.
    """
    with deps.database.begin() as db:
        row = life.lock(db, session_id, wallet)
        if row.state not in lifecycle.UP or row.kind != "desktop":
            raise WrongState(state=row.state)
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
    )
    url = f"{host.gateway_url.rstrip('/')}/stream"
    return StreamView(url, issue(claims, deps.tickets.sign), claims.expires_at_ms)


def _step(
    deps: Deps, wallet: str, session_id: str, step: lifecycle.Step, *, desktop: bool = False
) -> SessionView:
    with deps.database.begin() as db:
        row = life.lock(db, session_id, wallet)
        if desktop and row.kind != "desktop":
            raise WrongState("This session is a shell: reach it over SSH.", state=row.state)
        try:
            change = step(life.life_of(row), deps.clock.now_ms())
        except lifecycle.NotPossible as error:
            raise WrongState(state=row.state) from error
        if change:
            life.write(db, row, change)
        return view(db, row)


def _meter(db: Session, row: GpuSession, now_ms: int, warn_minutes: int) -> Meter:
    balance = ledger.balance(db, row.wallet).gpu_ms
    minutes = minutes_left(balance, row.gpus)
    return Meter(
        state=row.state,
        billed_gpu_ms=metering.billed_gpu_ms(db, row.id),
        balance_gpu_ms=balance,
        burn_rate=row.gpus,
        minutes_left=minutes,
        server_now_ms=now_ms,
        low_balance=row.state in lifecycle.UP and minutes < warn_minutes,
    )

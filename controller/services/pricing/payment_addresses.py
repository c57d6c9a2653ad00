"""Where payments go and what prices them: changing such an address takes two operators.

Whoever can edit one file must not be able to send everybody's payments elsewhere. The first start of a
platform accepts what its file says. After that, addresses of the file that were not accepted hold payments:
nothing is quoted, the revenue wallet is not shown, no block is read. Sessions and balances go on. Local mode
has play money and accepts whatever it made. Source: payments.md section 8.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlmodel import Session, col, select

from controller.errors import BadInput, EntryRefused, NotYours, PaymentsHeld
from controller.models import PaymentAddresses
from controller.services.alerts import clear_alert, raise_alert
from controller.services.deps import Deps
from controller.settings import Settings

FIRST = "first start"
SUBJECT = "configuration"
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('axonos.payment_addresses'))")


@dataclass(frozen=True)
class AddressesView:
    """One set of addresses as operators see it.

    `state` is `accepted`, `accepted before`, `waiting`, `refused`, or `new` for what nobody has asked for.
    """

    fingerprint: str
    state: str
    addresses: dict[str, str]
    reason: str = ""
    actor: str | None = None
    asked_at_ms: int | None = None
    approver: str | None = None
    decided_at_ms: int | None = None


def addresses_of(settings: Settings) -> dict[str, str]:
    """By name: revenue wallets, tokens, feeds and pool, and the chains they are on."""
    eth, usdc, axgt = settings.eth, settings.usdc, settings.axgt
    found: dict[str, str | None] = {}
    for chain in settings.chains:
        where = f"chain {chain.chain_id}"
        found |= {f"{where} genesis": chain.genesis_hash, f"{where} revenue wallet": chain.revenue_wallet}
        found[f"{where} sequencer feed"] = chain.sequencer_feed
        former = ", ".join(sorted(chain.former_revenue_wallets, key=str.lower))
        found[f"{where} former revenue wallets"] = former or None
    found |= {
        "home chain": str(settings.chain.chain_id),
        "ETH/USD feed": eth.usd_feed,
        "USDC contract": usdc.contract,
        "USDC chain": str(settings.chain_of("usdc").chain_id),
        "USDC/USD feed": usdc.usd_feed,
        "AXGT contract": axgt.contract,
        "AXGT pool": axgt.pool,
        "AXGT/USD feed": axgt.second_feed,
    }
    return {name: value.lower() for name, value in sorted(found.items()) if value is not None}


def fingerprint(addresses: dict[str, str]) -> str:
    """One name for a set of addresses: SHA-256 in hex."""
    return hashlib.sha256(json.dumps(addresses, sort_keys=True).encode()).hexdigest()


def told(settings: Settings) -> str:
    """The addresses in one line, for the log of a start."""
    found = addresses_of(settings)
    listed = "; ".join(f"{name} {value}" for name, value in found.items())
    return f"payment addresses {fingerprint(found)[:16]}: {listed}"


def accepted(deps: Deps) -> bool:
    """Whether this process may take payments with the addresses of its file."""
    if deps.settings.mode == "local":
        return True
    found = addresses_of(deps.settings)
    with deps.database.begin() as db:
        current = _current(db) or _first(db, found, deps.clock.now_ms())
        return current.fingerprint == fingerprint(found)


def require_accepted(deps: Deps) -> None:
    """Nothing, where payments may be taken.

    Raises:
        PaymentsHeld: the addresses were changed, and no second operator has approved them.
    """
    if not accepted(deps):
        raise PaymentsHeld


def watch(deps: Deps) -> bool:
    """`accepted`, and an open alert while it is false."""
    may = accepted(deps)
    now_ms, mine = deps.clock.now_ms(), fingerprint(addresses_of(deps.settings))[:16]
    with deps.database.begin() as db:
        if may:
            clear_alert(db, "payment-addresses", SUBJECT, now_ms)
        else:
            why = f"{mine} was not accepted; see `axonos ledger addresses show`"
            raise_alert(db, "payment-addresses", SUBJECT, why, now_ms)
    return may


def overview(deps: Deps) -> list[AddressesView]:
    """What the file says, then every set that was ever asked for, newest first."""
    found = addresses_of(deps.settings)
    mine = fingerprint(found)
    with deps.database.begin() as db:
        rows = list(db.exec(select(PaymentAddresses).order_by(col(PaymentAddresses.id).desc())))
        current = _current(db)
    known = [_view(row, current) for row in rows]
    here = next((one for one in known if one.fingerprint == mine), None)
    return [here or AddressesView(mine, "new", found), *(one for one in known if one is not here)]


def ask(deps: Deps, actor: str, reason: str) -> AddressesView:
    """Ask for the addresses of the file; asking again changes nothing.

    Args:
        deps: ports; the settings are the changed file's.
        actor: who asks: the system user.
        reason: why, for the one who approves.

    Raises:
        BadInput: no reason.
        EntryRefused: they are accepted already.
    """
    if not 0 < len(reason.strip()) <= 500:
        raise BadInput("A reason of 1 to 500 characters is needed.")
    found, now_ms = addresses_of(deps.settings), deps.clock.now_ms()
    with deps.database.begin() as db:
        db.execute(_LOCK)
        current = _current(db)
        if current is not None and current.fingerprint == fingerprint(found):
            raise EntryRefused("These addresses are accepted already.")
        waiting = _waiting(db, fingerprint(found))
        if waiting is None:
            waiting = _row(found, "waiting", actor, reason, now_ms)
            db.add(waiting)
            db.flush()
        return _view(waiting, current)


def decide(deps: Deps, print_: str, actor: str, *, refuse: bool = False) -> AddressesView:
    """Approve addresses that wait, or refuse them.

    Args:
        deps: ports.
        print_: their fingerprint, or at least 8 of its first characters.
        actor: who decides; approving takes another system user than asking did.
        refuse: refuse instead; the one who asked may, too.

    Raises:
        NotYours: no such addresses wait.
        EntryRefused: approved by the one who asked.
    """
    with deps.database.begin() as db:
        db.execute(_LOCK)
        row = _waiting(db, print_) if len(print_) >= 8 else None
        if row is None:
            raise NotYours("No addresses with this fingerprint wait for a second operator.")
        if not refuse and row.actor == actor:
            raise EntryRefused("Whoever asked for addresses cannot approve them; another operator must.")
        row.state, row.approver = ("refused" if refuse else "accepted"), actor
        row.decided_at_ms = deps.clock.now_ms()
        db.add(row)
        db.flush()
        return _view(row, _current(db))


def _current(db: Session) -> PaymentAddresses | None:
    """The set that was accepted last."""
    query = select(PaymentAddresses).where(PaymentAddresses.state == "accepted")
    latest = (col(PaymentAddresses.decided_at_ms).desc(), col(PaymentAddresses.id).desc())
    return db.exec(query.order_by(*latest).limit(1)).first()


def _waiting(db: Session, start: str) -> PaymentAddresses | None:
    query = select(PaymentAddresses).where(
        PaymentAddresses.state == "waiting",
        col(PaymentAddresses.fingerprint).startswith(start, autoescape=True),
    )
    found = db.exec(query).all()
    return found[0] if len(found) == 1 else None


def _first(db: Session, found: dict[str, str], now_ms: int) -> PaymentAddresses:
    """Accept the very first set; of two processes that start at once, one does."""
    db.execute(_LOCK)
    current = _current(db)
    if current is None:
        current = _row(found, "accepted", FIRST, "", now_ms)
        current.decided_at_ms = now_ms
        db.add(current)
        db.flush()
    return current


def _row(
    found: dict[str, str], state: Literal["accepted", "waiting"], actor: str, reason: str, now_ms: int
) -> PaymentAddresses:
    return PaymentAddresses(
        fingerprint=fingerprint(found),
        addresses=dict(found),
        state=state,
        reason=reason,
        actor=actor,
        asked_at_ms=now_ms,
    )


def _view(row: PaymentAddresses, current: PaymentAddresses | None) -> AddressesView:
    past = row.state == "accepted" and current is not None and row.id != current.id
    return AddressesView(
        row.fingerprint,
        "accepted before" if past else row.state,
        dict(row.addresses),
        row.reason,
        row.actor,
        row.asked_at_ms,
        row.approver,
        row.decided_at_ms,
    )

"""API tokens of a wallet: made on the site by a signed-in browser, shown once, kept as a hash, taken back.

A token says who asks and what it may do (`domain/scopes`); it never makes another token. Its text is
`axonos_ID_SECRET`: found by its id, compared by the hash of the whole in constant time.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from sqlmodel import Session, col, delete, select
from sqlmodel.sql.expression import SelectOfScalar

from controller.domain import scopes as rules
from controller.errors import BadInput, NotYours, SignInNeeded, TokenRefused, TooManyTokens
from controller.models import ApiToken, Wallet, WebSession
from controller.services.deps import Deps
from controller.services.wallets import contract_sessions
from controller.services.wallets.sign_in import hash_secret

PREFIX = "axonos_"
MAX_TOKENS = 32
MAX_DAYS = 366
DAY_MS = 86_400_000
SEEN_EVERY_MS = 60_000
MAX_NAME_CHARS = 60
MAX_CHARS = 120


@dataclass(frozen=True)
class TokenView:
    """A token of the list, without its text. `last_used_at_ms`: to the minute, None before its first use."""

    id: str
    name: str
    scopes: list[str]
    created_at_ms: int
    expires_at_ms: int
    last_used_at_ms: int | None


@dataclass(frozen=True)
class NewToken:
    """A token that was just made; `token` is its text, which is said once and kept nowhere."""

    token: str
    made: TokenView


@dataclass(frozen=True)
class Holder:
    """Who an API token speaks for, and what it may do."""

    token_id: str
    wallet: str
    scopes: frozenset[str]
    expires_at_ms: int


def make(deps: Deps, session_token: str | None, name: str, wanted: list[str], days: int) -> NewToken:
    """Make a token for the wallet that a browser is signed in with.

    Args:
        deps: ports.
        session_token: the browser's session; an API token is none, so it can make no other.
        name: what its owner calls it.
        wanted: scopes, at least one.
        days: how long it is good for.

    Raises:
        BadInput: an unknown scope, none, a name that cannot be shown, or a life too long.
        SignInNeeded: no browser is signed in with this session.
        TooManyTokens: the list is full.
    """
    shown, scopes = _name(name), _scopes(wanted)
    if not 0 < days <= MAX_DAYS:
        raise BadInput(f"A token is good for 1 to {MAX_DAYS} days.", field="days")
    now_ms, token_id = deps.clock.now_ms(), deps.new_id()
    text = f"{PREFIX}{token_id}_{secrets.token_urlsafe(32)}"
    with deps.database.begin() as db:
        opened = db.get(WebSession, hash_secret(session_token or ""))
        if opened is None or _is_over(opened, now_ms):
            raise SignInNeeded
        _make_room(db, opened.wallet, now_ms)
        row = ApiToken(
            id=token_id,
            wallet=opened.wallet,
            name=shown,
            token_hash=hash_secret(text),
            scopes=" ".join(scopes),
            created_at_ms=now_ms,
            expires_at_ms=now_ms + days * DAY_MS,
            contract_digest=opened.contract_digest,
            contract_signature=opened.contract_signature,
            recheck_at_ms=opened.recheck_at_ms,
        )
        db.add(row)
        return NewToken(text, _view(row))


def list_tokens(deps: Deps, wallet: str) -> list[TokenView]:
    """The wallet's tokens, oldest first, those that ran out too."""
    with deps.database.begin() as db:
        return [_view(row) for row in db.exec(_mine(wallet))]


def revoke(deps: Deps, wallet: str, token_id: str) -> None:
    """Take a token back; from now on it is unknown.

    Raises:
        NotYours: the wallet has no such token.
    """
    this = (col(ApiToken.id) == token_id, col(ApiToken.wallet) == wallet)
    with deps.database.begin() as db:
        if not db.exec(delete(ApiToken).where(*this).returning(col(ApiToken.id))).all():
            raise NotYours


def holder(deps: Deps, text: str) -> Holder:
    """Who a token speaks for.

    Args:
        deps: ports.
        text: the token as it was sent.

    Raises:
        TokenRefused: unknown, taken back, run out, or its contract wallet was not asked for too long.
    """
    token_id = text[:MAX_CHARS].removeprefix(PREFIX).partition("_")[0]
    now_ms = deps.clock.now_ms()
    with deps.database.begin() as db:
        row = db.get(ApiToken, token_id)
        kept = row.token_hash if row else ""
        # Both are hashes of one length; what is compared tells nothing about the secret, nor does the time.
        if not hmac.compare_digest(kept.encode(), hash_secret(text).encode()) or row is None:
            raise TokenRefused
        if _is_over(row, now_ms):
            raise TokenRefused("This API token has run out. Make a new one on the site.")
        if now_ms >= (row.last_used_at_ms or 0) + SEEN_EVERY_MS:
            row.last_used_at_ms = now_ms
            db.add(row)
        return Holder(row.id, row.wallet, frozenset(row.scopes.split()), row.expires_at_ms)


def _is_over(row: WebSession | ApiToken, now_ms: int) -> bool:
    return row.expires_at_ms <= now_ms or contract_sessions.forgotten(row.recheck_at_ms, now_ms)


def _make_room(db: Session, wallet: str, now_ms: int) -> None:
    """One change of a list at a time; tokens that ran out go when another one comes."""
    db.exec(select(Wallet.address).where(Wallet.address == wallet).with_for_update(key_share=True)).one()
    over = (col(ApiToken.wallet) == wallet, col(ApiToken.expires_at_ms) <= now_ms)
    db.exec(delete(ApiToken).where(*over))
    if len(db.exec(_mine(wallet)).all()) >= MAX_TOKENS:
        raise TooManyTokens


def _mine(wallet: str) -> SelectOfScalar[ApiToken]:
    return (
        select(ApiToken).where(ApiToken.wallet == wallet).order_by(col(ApiToken.created_at_ms), ApiToken.id)
    )


def _name(name: str) -> str:
    shown = name.strip()
    if not 0 < len(shown) <= MAX_NAME_CHARS or not shown.isprintable():
        raise BadInput(f"A token's name has 1 to {MAX_NAME_CHARS} printable characters.", field="name")
    return shown


def _scopes(wanted: list[str]) -> list[str]:
    if not wanted or rules.unknown(wanted):
        raise BadInput(f"`scopes` is a list of one or more of {', '.join(rules.SCOPES)}.", field="scopes")
    return rules.in_order(wanted)


def _view(row: ApiToken) -> TokenView:
    return TokenView(
        row.id, row.name, row.scopes.split(), row.created_at_ms, row.expires_at_ms, row.last_used_at_ms
    )

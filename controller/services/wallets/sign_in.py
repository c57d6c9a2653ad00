"""Signing in with a wallet, signed-in browsers, and rate limits that all web processes share.

A sign-in is one row: the exact text the server made, bound to the browser that asked for it. It is used
up by the first answer, right or wrong. Of a session's token only the SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.domain.sign_in_text import LIFE_MS, MAX_CHARS, Site, new_nonce, nonce_of, sign_in_text
from controller.errors import BadInput, SignInRefused, TooManyRequests
from controller.models import RateLimit, SignInNonce, Wallet, WebSession
from controller.services.deps import Deps
from controller.services.ports import SignedBy
from controller.services.wallets import contract_sessions

SESSION_LIFE_MS = 12 * 3_600_000
# Every request asks this: past the ORM.
_WHO = text(
    "SELECT wallet, csrf_token, expires_at_ms, recheck_at_ms FROM web_session WHERE token_hash = :hash"
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True)
class SignInStart:
    """What the wallet is asked to sign."""

    message: str
    nonce: str
    expires_at_ms: int


@dataclass(frozen=True)
class SignedIn:
    """A new browser session; the token goes into a cookie and nowhere else."""

    token: str
    wallet: str
    csrf_token: str
    expires_at_ms: int


@dataclass(frozen=True)
class Visitor:
    """Who a session cookie belongs to."""

    wallet: str
    csrf_token: str
    expires_at_ms: int


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. Enough for tokens, since those are 32 random bytes, no passwords."""
    return hashlib.sha256(secret.encode()).hexdigest()


def start_sign_in(deps: Deps, address: str, browser_hash: str) -> SignInStart:
    """Make the text to sign, good for five minutes and one answer.

    Args:
        deps: ports.
        address: the wallet, `0x` and 40 hex digits.
        browser_hash: `hash_secret` of the pre-login cookie.

    Raises:
        BadInput: not an address.
    """
    if not _ADDRESS.fullmatch(address):
        raise BadInput("A wallet address is 0x and 40 hex digits.", field="address")
    now_ms = deps.clock.now_ms()
    nonce = new_nonce(secrets.choice)
    words = sign_in_text(_site(deps), to_checksum_address(address), nonce, now_ms)
    row = SignInNonce(
        nonce=nonce,
        address=address.lower(),
        browser_hash=browser_hash,
        message=words,
        expires_at_ms=now_ms + LIFE_MS,
    )
    with deps.database.begin() as db:
        db.exec(delete(SignInNonce).where(col(SignInNonce.expires_at_ms) < now_ms))
        db.add(row)
    return SignInStart(words, nonce, row.expires_at_ms)


def sign_in(
    deps: Deps, message: str, signature: str, browser_hash: str, old_token: str | None = None
) -> SignedIn:
    """Check a signed text and open a session; the nonce is gone afterwards, whatever the outcome.

    The signature is checked outside the transaction, since a contract wallet is asked on chain (EIP-1271);
    of two simultaneous answers only one deletes the nonce and gets a session.

    Args:
        deps: ports.
        message: the text as signed.
        signature: hex with 0x.
        browser_hash: `hash_secret` of the pre-login cookie.
        old_token: the browser's session until now; it ends.

    Raises:
        SignInRefused: with the reason.
        ChainUnavailable: a contract wallet could not be asked; the nonce stays.
    """
    asked = _asked(deps, message, browser_hash)
    refusal: SignInRefused | None = None
    signed = SignedBy("", None)
    try:
        signed = _verify(deps, asked, message, signature)
    except SignInRefused as error:
        refusal = error
    now_ms = deps.clock.now_ms()
    opened = SignedIn(
        secrets.token_urlsafe(32), asked.address, secrets.token_urlsafe(24), now_ms + SESSION_LIFE_MS
    )
    with deps.database.begin() as db:
        used = db.exec(
            delete(SignInNonce).where(col(SignInNonce.nonce) == asked.nonce).returning(col(SignInNonce.nonce))
        ).all()
        if used and refusal is None:
            _open(db, opened, now_ms, old_token, contract_sessions.asked_again(signed, signature, now_ms))
    if refusal:
        raise refusal
    if not used:
        raise SignInRefused("This sign-in was already used. Sign in again.", reason="nonce")
    return opened


def who(deps: Deps, token: str | None) -> Visitor | None:
    """The visitor a session token belongs to, or None: no token, unknown, or run out."""
    if not token:
        return None
    with deps.database.begin() as db:
        row = db.connection().execute(_WHO, {"hash": hash_secret(token)}).first()
    now_ms = deps.clock.now_ms()
    if row is None or row.expires_at_ms <= now_ms:
        return None
    if contract_sessions.forgotten(row.recheck_at_ms, now_ms):
        return None
    return Visitor(row.wallet, row.csrf_token, row.expires_at_ms)


def sign_out(deps: Deps, token: str | None, *, everywhere: bool = False) -> None:
    """End a browser session; `everywhere` ends all of its wallet's. Unknown tokens are no error."""
    this = col(WebSession.token_hash) == hash_secret(token or "")
    with deps.database.begin() as db:
        mine = col(WebSession.wallet).in_(select(WebSession.wallet).where(this)) if everywhere else this
        db.exec(delete(WebSession).where(mine))


def rate_limit(deps: Deps, scope: str, subject: str, limit: int, window_s: int) -> None:
    """Count one request in the current fixed window; all web processes share the count.

    Args:
        deps: ports.
        scope: what is limited, such as `sign-in`.
        subject: whom: a wallet or a keyed hash of an address.
        limit: requests allowed in one window.
        window_s: length of a window in seconds.

    Raises:
        TooManyRequests: with `retry_after_s`.
    """
    now_ms, window_ms = deps.clock.now_ms(), window_s * 1000
    start_ms = now_ms - now_ms % window_ms
    counted = (
        insert(RateLimit)
        .values(scope=scope, subject=subject, window_start_ms=start_ms, count=1)
        .on_conflict_do_update(
            index_elements=["scope", "subject", "window_start_ms"], set_={"count": col(RateLimit.count) + 1}
        )
        .returning(col(RateLimit.count))
    )
    with deps.database.begin() as db:
        count = db.execute(counted).scalar_one()
        if count == 1:
            db.exec(
                delete(RateLimit).where(
                    col(RateLimit.scope) == scope, col(RateLimit.window_start_ms) < start_ms
                )
            )
    if count > limit:
        raise TooManyRequests(retry_after_s=(start_ms + window_ms - now_ms + 999) // 1000)


def _site(deps: Deps) -> Site:
    return Site(deps.settings.web.origin, deps.settings.chain.chain_id)


def _asked(deps: Deps, message: str, browser_hash: str) -> SignInNonce:
    """The sign-in this browser asked for; another browser's is not even touched."""
    if len(message) > MAX_CHARS:
        raise SignInRefused("The sign-in text is too long.", reason="too_long")
    nonce = nonce_of(message)
    with deps.database.begin() as db:
        row = db.exec(
            select(SignInNonce).where(
                SignInNonce.nonce == (nonce or ""), SignInNonce.browser_hash == browser_hash
            )
        ).first()
    if row is None:
        raise SignInRefused(
            "This sign-in was already used, has run out, or was asked for in another browser. Sign in again.",
            reason="nonce",
        )
    return row


def _verify(deps: Deps, asked: SignInNonce, message: str, signature: str) -> SignedBy:
    site = _site(deps)
    if asked.expires_at_ms <= deps.clock.now_ms():
        raise SignInRefused("This sign-in has run out. Sign in again.", reason="expired")
    signed = deps.sign_in.verify(
        message, signature, domain=site.domain, uri=site.uri, chain_id=site.chain_id, nonce=asked.nonce
    )
    if signed.wallet != asked.address or message != asked.message:
        raise SignInRefused("The signed text is not the one this site made. Sign in again.", reason="altered")
    return signed


def _open(
    db: Session, opened: SignedIn, now_ms: int, old_token: str | None, asked_again: dict[str, Any]
) -> None:
    db.execute(insert(Wallet).values(address=opened.wallet, created_at_ms=now_ms).on_conflict_do_nothing())
    gone = [
        col(WebSession.expires_at_ms) <= now_ms,
        col(WebSession.token_hash) == hash_secret(old_token or ""),
    ]
    db.exec(delete(WebSession).where(gone[0] | gone[1]))
    db.add(
        WebSession(
            token_hash=hash_secret(opened.token),
            wallet=opened.wallet,
            csrf_token=opened.csrf_token,
            created_at_ms=now_ms,
            expires_at_ms=opened.expires_at_ms,
            **asked_again,
        )
    )

"""Session tokens: the right to see and to end one session, for whoever paid for it without signing in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, delete

from controller.errors import SignInNeeded
from controller.models import SessionToken, Wallet
from controller.services.deps import Deps
from controller.services.wallets.sign_in import hash_secret

PREFIX = "axonos_session_"
KEPT_MS = 90 * 86_400_000


@dataclass(frozen=True)
class Bearer:
    """Whose session a token opens."""

    wallet: str
    session_id: str


def issue(db: Session, wallet: str, session_id: str, now_ms: int) -> str:
    """Make a token for a session that exists or is about to; its text is kept nowhere.

    Args:
        db: open transaction.
        wallet: the session's owner.
        session_id: the one session that it opens.
        now_ms: now; tokens older than any session could be are forgotten.
    """
    text = PREFIX + secrets.token_urlsafe(32)
    db.execute(insert(Wallet).values(address=wallet, created_at_ms=now_ms).on_conflict_do_nothing())
    db.exec(delete(SessionToken).where(col(SessionToken.created_at_ms) < now_ms - KEPT_MS))
    row = SessionToken(
        token_hash=hash_secret(text), wallet=wallet, session_id=session_id, created_at_ms=now_ms
    )
    db.add(row)
    return text


def bearer(deps: Deps, text: str) -> Bearer:
    """Who comes with a token.

    Raises:
        SignInNeeded: no such token.
    """
    with deps.database.begin() as db:
        row = db.get(SessionToken, hash_secret(text)) if text.startswith(PREFIX) else None
    if row is None or row.created_at_ms < deps.clock.now_ms() - KEPT_MS:
        raise SignInNeeded("Send the session token as `Authorization: Bearer`.")
    return Bearer(row.wallet, row.session_id)

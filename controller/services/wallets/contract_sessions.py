"""Browsers signed in by a contract wallet: its answer may change, so the contract is asked again.

An owner who was removed from a contract wallet loses the site with it, at the latest an hour later. Where no
node answers, a session stays for one more hour and then runs out (`wallets.who`).
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlmodel import col, select

from controller.errors import ChainUnavailable
from controller.models import ApiToken, WebSession
from controller.services.deps import Deps
from controller.services.ports import SignedBy

Kept = TypeVar("Kept", WebSession, ApiToken)
RECHECK_MS = 3_600_000
AT_ONCE = 100


def asked_again(signed: SignedBy, signature: str, now_ms: int) -> dict[str, Any]:
    """What a contract wallet's session keeps, so that the contract can be asked again; nothing for others."""
    if signed.digest is None:
        return {}
    return {
        "contract_digest": signed.digest,
        "contract_signature": signature,
        "recheck_at_ms": now_ms + RECHECK_MS,
    }


def forgotten(recheck_at_ms: int | None, now_ms: int) -> bool:
    """Nobody asked the contract again: better signed out than signed in on an old word."""
    return recheck_at_ms is not None and recheck_at_ms + RECHECK_MS <= now_ms


def recheck(deps: Deps) -> int:
    """Ask contract wallets again whether their sign-ins still hold, each `RECHECK_MS`; those that do not end.

    The API tokens that such a sign-in made end with it.

    Returns:
        how many sessions and tokens were looked at.
    """
    return _recheck(deps, WebSession) + _recheck(deps, ApiToken)


def _recheck(deps: Deps, kept: type[Kept]) -> int:
    now_ms, chain_id = deps.clock.now_ms(), deps.settings.chain.chain_id
    due = select(kept).where(col(kept.recheck_at_ms) <= now_ms, col(kept.expires_at_ms) > now_ms)
    with deps.database.begin() as db:
        rows = list(db.exec(due.order_by(col(kept.recheck_at_ms)).limit(AT_ONCE)))
    for row in rows:
        try:
            held = deps.sign_in.still_signed(
                row.wallet, row.contract_digest or "", row.contract_signature or "", chain_id=chain_id
            )
        except ChainUnavailable:
            return 0
        with deps.database.begin() as db:
            key = row.token_hash if isinstance(row, WebSession) else row.id
            known = db.get(kept, key, with_for_update=True)
            if known is not None and held:
                known.recheck_at_ms = now_ms + RECHECK_MS
            elif known is not None:
                db.delete(known)
    return len(rows)

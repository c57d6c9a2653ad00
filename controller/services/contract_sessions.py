"""Browsers signed in by a contract wallet: its answer may change, so the contract is asked again.

An owner who was removed from a contract wallet loses the site with it, at the latest an hour later. Where no
node answers, a session stays for one more hour and then runs out (`wallets.who`).
"""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select

from controller.errors import ChainUnavailable
from controller.models import WebSession
from controller.services.deps import Deps
from controller.services.ports import SignedBy

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


def recheck(deps: Deps) -> int:
    """Ask contract wallets again whether their sign-ins still hold, each `RECHECK_MS`; those that do not end.

    Returns:
        how many sessions were looked at.
    """
    now_ms, chain_id = deps.clock.now_ms(), deps.settings.chain.chain_id
    due = select(WebSession).where(
        col(WebSession.recheck_at_ms) <= now_ms, col(WebSession.expires_at_ms) > now_ms
    )
    with deps.database.begin() as db:
        rows = list(db.exec(due.order_by(col(WebSession.recheck_at_ms)).limit(AT_ONCE)))
    for row in rows:
        try:
            held = deps.sign_in.still_signed(
                row.wallet, row.contract_digest or "", row.contract_signature or "", chain_id=chain_id
            )
        except ChainUnavailable:
            return 0
        with deps.database.begin() as db:
            known = db.get(WebSession, row.token_hash, with_for_update=True)
            if known is not None and held:
                known.recheck_at_ms = now_ms + RECHECK_MS
            elif known is not None:
                db.delete(known)
    return len(rows)

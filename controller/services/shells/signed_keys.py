"""Which SSH key a payment alone may open a session for: a payment is signed for an amount, not for a key.

Whoever gets hold of a payment that was meant for something else, as a shop in the middle, could come with a
key of its own: to the payer's files, and to all the payer's credit. So a wallet that has either has to have
named the key itself: in its list, by a signature a moment ago, or for its last session.
"""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, delete, select

from controller.errors import SignatureNeeded
from controller.models import GpuSession, SignedKey, SshKey
from controller.services.deps import Deps
from controller.services.money import ledger

KEPT_MS = 600_000


def remember(deps: Deps, wallet: str, public_key: str) -> None:
    """A wallet signed for a session with a key; it holds for the payments of the next ten minutes."""
    now_ms = deps.clock.now_ms()
    values = {"wallet": wallet, "public_key": public_key, "expires_at_ms": now_ms + KEPT_MS}
    kept = insert(SignedKey).values(**values)
    with deps.database.begin() as db:
        db.exec(delete(SignedKey).where(col(SignedKey.expires_at_ms) < now_ms))
        db.execute(
            kept.on_conflict_do_update(
                index_elements=["wallet", "public_key"], set_={"expires_at_ms": kept.excluded.expires_at_ms}
            )
        )


def check(db: Session, wallet: str, public_key: str, now_ms: int) -> None:
    """Nothing, where a payment of a wallet may open a session for a key.

    Args:
        db: open transaction.
        wallet: the payer.
        public_key: type and blob.
        now_ms: now.

    Raises:
        SignatureNeeded: the wallet has files or credit here, and did not name this key.
    """
    latest = (
        select(GpuSession).where(GpuSession.wallet == wallet).order_by(col(GpuSession.claimed_at_ms).desc())
    )
    last = db.exec(latest.limit(1)).first()
    if last is None and ledger.balance(db, wallet).gpu_ms <= 0:
        return
    if last is not None and public_key in last.ssh_keys.splitlines():
        return
    signed = db.get(SignedKey, (wallet, public_key))
    if signed is not None and signed.expires_at_ms > now_ms:
        return
    listed = select(SshKey.id).where(SshKey.wallet == wallet, SshKey.public_key == public_key)
    if db.exec(listed).first() is None:
        raise SignatureNeeded

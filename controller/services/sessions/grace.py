"""Who gets grace: once for each deposit, so that nobody holds GPUs for nothing again and again."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.ledger import user_account
from controller.domain.metering import has_grace

# A deposit below the minimum waits and is not posted; one that was reversed since is none.
_HISTORY = text(
    """
    SELECT (SELECT max(e.at_ms) FROM session_event e JOIN gpu_session s ON s.id = e.session_id
            WHERE s.wallet = :wallet AND e.event = 'exhausted') AS last_grace_ms,
           (SELECT max(t.at_ms) FROM transfer t JOIN account a ON a.id = t.credit_id
            WHERE a.code = :code AND t.kind = 'deposit'
              AND NOT EXISTS (SELECT 1 FROM transfer r WHERE r.key = 'rev:' || t.key)) AS last_deposit_ms
    """
)
NONE_LEFT = "your credit ran out; grace comes again after a new deposit"


def granted(db: Session, wallet: str) -> bool:
    """Whether a wallet's session may stay up, unbilled, when its balance is used up now."""
    row = db.connection().execute(_HISTORY, {"wallet": wallet, "code": user_account(wallet)}).one()
    return has_grace(row.last_grace_ms, row.last_deposit_ms)

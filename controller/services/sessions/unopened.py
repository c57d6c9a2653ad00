"""A session that nobody opens: it ends, says so, and what it cost is returned, once a day for each wallet.

Opened is a desktop at its first stream (or when its owner detaches), a shell at its first login. Time counts
only as far as there is proof of life, so that a login which nobody could report yet ends nothing.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.ledger import Posting, user_account
from controller.models import GpuSession
from controller.services.deps import Deps
from controller.services.money import ledger, metering
from controller.services.sessions import ends

KIND = "unopened"
DAY_MS = 86_400_000
_RETURNED = text(
    """
    SELECT 1 FROM transfer t JOIN account a ON a.id = t.credit_id
    WHERE a.code = :code AND t.kind = 'unopened' AND t.at_ms > :since LIMIT 1
    """
)


def end(deps: Deps, db: Session, row: GpuSession, at_ms: int, now_ms: int) -> None:
    """End a locked session that nobody has opened by `at_ms`, and return what it has cost by then."""
    ledger.lock_journal(db)  # so that two sessions of a wallet cannot both have the day's return
    again = (
        db.connection()
        .execute(_RETURNED, {"code": user_account(row.wallet), "since": now_ms - DAY_MS})
        .first()
    )
    minutes = deps.settings.queue.open_within_minutes
    returned = "minutes are returned once a day" if again else "those minutes were returned"
    ends.begin_end(db, row, at_ms, f"nobody opened it within {minutes} minutes; {returned}", now_ms)
    cost = metering.billed_gpu_ms(db, row.id)
    if cost and not again:
        why = {"session": row.id, "profile": row.profile, "gpus": row.gpus}
        back = Posting(f"unopened:{row.id}", KIND, metering.USED, user_account(row.wallet), cost, why)
        ledger.post(db, at_ms=now_ms, transfers=[back])

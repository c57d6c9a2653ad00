"""Books a settled payment as a deposit of its payer, once, and at once: one receipt is enough up to a cap.

The event is the watcher's own: the same key (chain, transaction, position), so whoever comes second finds it
there. What was credited before the watcher saw it is marked, and taken back if it never does.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session, select

from controller.domain.profiles import GPU_MS_PER_MINUTE
from controller.errors import ChainUnavailable, PriceUnavailable
from controller.models import ChainCursor, ChainHeader, MoneyEvent
from controller.services.deposits import events
from controller.services.deposits.record import record
from controller.services.deposits.value import Verdict, kept_for_nobody, worth
from controller.services.deposits.watch import open_cursor
from controller.services.deps import Deps
from controller.services.ports import Block, Payment
from controller.services.sessions.expiry import resume_paid

OPEN = ("seen", "confirming", "below_min", "price_pending")
_YOUNG = text("""
    SELECT coalesce(sum(credited_gpu_ms), 0) FROM money_event
    WHERE chain_id = :chain AND payer = :payer AND rail = 'x402' AND state = 'credited'
      AND block_number > :above""")


def book(deps: Deps, payment: Payment, at: Block) -> str:
    """Write a payment down and credit it if it may be credited on one receipt.

    Args:
        deps: ports and settings.
        payment: a USDC transfer that an authorization made.
        at: its block.

    Returns:
        the state of its money event: `credited`, or one that the watcher goes on from.
    """
    chain_id = deps.settings.chain_of("usdc").chain_id
    verdict = _worth(deps, payment, at)
    with deps.database.begin() as db:
        known = db.get(ChainCursor, chain_id) is not None
    if not known:
        open_cursor(deps, chain_id)
    with deps.database.begin() as db:
        cursor = events.locked_cursor(db, chain_id)
        now_ms = deps.clock.now_ms()
        record(db, chain_id, payment, now_ms, in_chain=False)
        event = _event(db, chain_id, payment)
        if event.rail != "x402":
            event.rail = "x402"
            db.add(event)
        same = event.block_hash == payment.block_hash
        if same and verdict is not None and _may(db, deps, event, verdict, cursor):
            kept = {name: value for name, value in event.evidence.items() if name != "noted"}
            event.evidence = {**kept, **verdict.evidence}
            event.unwatched, event.waits_why, event.look_again_ms = event.state == "seen", None, None
            events.credit(db, event, now_ms)
        state = event.state
    if state == "credited":
        resume_paid(deps, payment.payer)
    return state


def _event(db: Session, chain_id: int, payment: Payment) -> MoneyEvent:
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id,
        MoneyEvent.tx_hash == payment.tx_hash,
        MoneyEvent.position == payment.position,
    )
    return db.exec(query).one()


def _worth(deps: Deps, payment: Payment, at: Block) -> Verdict | None:
    try:
        return worth(deps, "usdc", payment.payer, payment.amount, at, rail="x402")
    except (ChainUnavailable, PriceUnavailable):
        return None  # the watcher credits it once there is a price


def _may(
    db: Session,
    deps: Deps,
    event: MoneyEvent,
    verdict: Verdict,
    cursor: ChainCursor | None,
) -> bool:
    """Whether the event is to be credited now, under the cursor's lock."""
    if verdict.state != "credited" or event.state not in OPEN or cursor is None:
        return False
    if cursor.stopped_why or kept_for_nobody(deps.settings, event):
        return False
    header = db.get(ChainHeader, (event.chain_id, event.block_number))
    if header is not None and header.hash != event.block_hash:
        return False
    if event.state == "seen" and cursor.block_number >= event.block_number:
        return False  # the watcher has read that block and did not find it
    return _within(db, deps, event, int(verdict.evidence["gpu_ms"]), cursor)


def _within(db: Session, deps: Deps, event: MoneyEvent, gpu_ms: int, cursor: ChainCursor) -> bool:
    chain, rail = deps.settings.chain_by_id(event.chain_id), deps.settings.x402
    limit = chain.agreement_above_gpu_minutes
    if rail is None or (limit is not None and gpu_ms > limit * GPU_MS_PER_MINUTE):
        return False
    head = max(cursor.block_number, event.block_number)
    asked = {"chain": event.chain_id, "payer": event.payer, "above": head - chain.confirmations + 1}
    young = int(db.execute(_YOUNG, asked).scalar_one())
    return young + gpu_ms <= rail.provisional_cap_minutes * GPU_MS_PER_MINUTE

"""Writes the verdict on one confirmed event: credit, suspense, or a wait with its reason and alert.

Works inside the transaction of `settle`, which holds the cursor; reads the database only.
"""

from __future__ import annotations

from sqlmodel import Session, col, select

from controller.domain.deposits import UNEXPLAINED
from controller.models import MoneyEvent
from controller.services.alerts import clear_alert, raise_alert
from controller.services.deposits import events
from controller.services.deposits.caps import Held, held_back
from controller.services.deposits.value import Verdict
from controller.services.deps import Deps
from controller.services.pricing import quotes

LOOK_AGAIN_MS = 5_000
PAID = ("credited", "below_min", "price_pending")
WAITING = ("price-missing", "daily-cap", "nodes-disagree")


def apply(
    db: Session,
    deps: Deps,
    event: MoneyEvent,
    verdict: Verdict,
    *,
    block_time_s: int,
    final_number: int | None,
    disagreement: str | None,
) -> bool:
    """Bring an open event to its verdict.

    Args:
        db: a transaction that holds the cursor.
        deps: settings and clock.
        event: in an open state, confirmed, on the chain that the cursor stands on.
        verdict: what it comes to.
        block_time_s: of its block; a quote must hold at that instant.
        final_number: the chain's finalized block, where provisional credit is capped.
        disagreement: why two nodes do not bear the verdict out; None where they do or need not.

    Returns:
        whether its state changed.
    """
    verdict = _quoted(db, event, verdict, block_time_s)
    due = _due(db, event, verdict)
    if not due:
        return _keep(db, event, verdict, deps.clock.now_ms())
    if disagreement:
        return _hold(db, event, Held("confirming", disagreement, "nodes-disagree"), deps.clock.now_ms())
    held = _held(db, deps, due, verdict, final_number)
    if held and len(due) > 1 and int(event.amount) >= verdict.minimum:
        # What lay below the minimum must not hold up a deposit that reaches it by itself.
        due = [event]
        held = _held(db, deps, due, verdict, final_number)
    if held:
        return _hold(db, event, held, deps.clock.now_ms())
    _take(event, verdict)
    events.credit_together(db, due, int(verdict.evidence["minimum"]), deps.clock.now_ms())
    _clear(db, event, deps.clock.now_ms())
    return True


def _quoted(db: Session, event: MoneyEvent, verdict: Verdict, block_time_s: int) -> Verdict:
    """The quote's terms instead, where the payer has one for this very deposit."""
    if verdict.state not in PAID or event.rail:
        return verdict
    terms = quotes.honour(db, event, block_time_s)
    return verdict if terms is None else Verdict("credited", "as quoted", 0, terms)


def _due(db: Session, event: MoneyEvent, verdict: Verdict) -> list[MoneyEvent]:
    """What is to be credited now: the event, and with it what the payer has below the minimum so far."""
    if not verdict.evidence:
        return []
    if event.rail:  # a rail of its own: nothing below another rail's minimum comes along
        return [event] if int(event.amount) >= verdict.minimum else []
    waiting = below_minimum(db, event)
    reached = sum(int(e.amount) for e in [*waiting, event]) >= verdict.minimum
    return [*waiting, event] if reached else []


def below_minimum(db: Session, event: MoneyEvent) -> list[MoneyEvent]:
    """What the event's payer has paid below the minimum so far, of this asset and chain."""
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == event.chain_id,
        MoneyEvent.payer == event.payer,
        MoneyEvent.asset == event.asset,
        MoneyEvent.state == "below_min",
        MoneyEvent.id != event.id,
    )
    return list(db.exec(query.order_by(col(MoneyEvent.id))))


def _held(
    db: Session, deps: Deps, due: list[MoneyEvent], verdict: Verdict, final_number: int | None
) -> Held | None:
    """What holds back the credit of these deposits, of which the last one has the verdict."""
    *waiting, event = due
    gpu_ms = int(verdict.evidence["gpu_ms"]) + sum(int(e.evidence["gpu_ms"]) for e in waiting)
    return held_back(db, deps, event, gpu_ms, final_number)


def _take(event: MoneyEvent, verdict: Verdict) -> None:
    kept = {name: value for name, value in event.evidence.items() if name != "noted"}
    event.evidence = {**kept, **verdict.evidence}
    event.top_up_due, event.waits_why, event.look_again_ms = verdict.tier_unknown, None, None


def _keep(db: Session, event: MoneyEvent, verdict: Verdict, now_ms: int) -> bool:
    """Bring it to a state without credit: the tokens lie in suspense, unless they only changed pockets."""
    if verdict.state == "price_pending":
        return _hold(db, event, Held("price_pending", verdict.why, "price-missing"), now_ms)
    _take(event, verdict)
    if verdict.state != "own_move":
        events.book_tokens(db, event, "suspense", now_ms)
    events.move(db, event, verdict.state, verdict.why, now_ms)
    _clear(db, event, now_ms)
    if event.position == UNEXPLAINED:
        raise_alert(db, "unexplained-wei", events.subject(event), verdict.why, now_ms)
    elif event.evidence.get("doubtful"):
        raise_alert(db, "doubtful-token", events.subject(event), verdict.why, now_ms)
    return True


def _hold(db: Session, event: MoneyEvent, held: Held, now_ms: int) -> bool:
    """Let it wait, say why, and look again a little later; nothing is decided."""
    event.waits_why, event.look_again_ms = held.why, now_ms + LOOK_AGAIN_MS
    db.add(event)
    _clear(db, event, now_ms, but=held.alert)
    if held.alert:
        raise_alert(db, held.alert, events.subject(event), held.why, now_ms)
    if event.state in {held.state, "price_pending"}:
        db.flush()
        return False
    if held.state == "price_pending":
        events.book_tokens(db, event, "suspense", now_ms)
    events.move(db, event, held.state, held.why, now_ms)
    return True


def _clear(db: Session, event: MoneyEvent, now_ms: int, but: str | None = None) -> None:
    for kind in WAITING:
        if kind != but:
            clear_alert(db, kind, events.subject(event), now_ms)

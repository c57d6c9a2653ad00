"""What holds a due credit back: the cap on credit that is not final yet, and the daily caps of AXGT.

Asked under the chain's cursor lock, so two deposits cannot pass beneath one cap together.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session

from controller.domain.pricing import minutes_text
from controller.domain.profiles import GPU_MS_PER_MINUTE
from controller.models import MoneyEvent
from controller.services.deps import Deps

DAY_MS = 86_400_000

_PROVISIONAL = text("""
    SELECT coalesce(sum(credited_gpu_ms + coalesce((evidence #>> '{top_up,gpu_ms}')::bigint, 0)), 0)
    FROM money_event
    WHERE chain_id = :chain AND state = 'credited' AND coalesce(beneficiary, payer) = :wallet""")
_OF_THE_DAY = text("""
    SELECT coalesce(sum(t.amount), 0) AS total,
           coalesce(sum(t.amount) FILTER (WHERE e.payer = :wallet), 0) AS own
    FROM money_event e JOIN transfer t ON t.key = e.transfer_key
    WHERE e.asset = 'axgt' AND e.state IN ('credited', 'final')
      AND t.kind = 'deposit' AND t.at_ms > :since""")


@dataclass(frozen=True)
class Held:
    """Why a credit waits, and in which state; `alert` is the kind of alert to raise, if any."""

    state: str
    why: str
    alert: str | None = None


def held_back(
    db: Session, deps: Deps, event: MoneyEvent, gpu_ms: int, final_number: int | None
) -> Held | None:
    """Why a credit that is due must still wait; None when nothing holds it back.

    Args:
        db: a transaction that holds the cursor.
        deps: settings and clock.
        event: the deposit that brings it.
        gpu_ms: all that would be credited with it.
        final_number: the chain's finalized block, where its provisional credit is capped.
    """
    return provisional(db, deps, event, gpu_ms, final_number) or _daily(db, deps, event, gpu_ms)


def provisional(
    db: Session, deps: Deps, event: MoneyEvent, gpu_ms: int, final_number: int | None
) -> Held | None:
    """Why a credit must wait for its block to be final; None when it need not. Arguments as `held_back`."""
    minutes = deps.settings.chain_by_id(event.chain_id).provisional_cap_minutes
    if minutes is None or (final_number is not None and event.block_number <= final_number):
        return None
    asked = {"chain": event.chain_id, "wallet": event.payer}
    open_gpu_ms = int(db.execute(_PROVISIONAL, asked).scalar_one())
    if open_gpu_ms + gpu_ms <= minutes * GPU_MS_PER_MINUTE:
        return None
    why = f"more than {minutes} minutes that are not final yet: it is credited once its block is final"
    return Held("confirming", why)


def _daily(db: Session, deps: Deps, event: MoneyEvent, gpu_ms: int) -> Held | None:
    if event.asset != "axgt":
        return None
    axgt = deps.settings.axgt
    since = deps.clock.now_ms() - DAY_MS
    used = db.execute(_OF_THE_DAY, {"wallet": event.payer, "since": since}).mappings().one()
    for cap, spent, whose in (
        (axgt.daily_cap_gpu_minutes_wallet, int(used["own"]), "a wallet"),
        (axgt.daily_cap_gpu_minutes_total, int(used["total"]), "all wallets together"),
    ):
        limit = cap * GPU_MS_PER_MINUTE
        if gpu_ms > limit:
            much = f"{minutes_text(gpu_ms)} minutes for AXGT are above the {cap} a day for {whose}"
            why = f"{much}: the operator decides"
            return Held("price_pending", why, "daily-cap")
        if spent + gpu_ms > limit:
            why = (
                f"the {cap} minutes a day for AXGT of {whose} are used up: it is credited by itself tomorrow"
            )
            return Held("price_pending", why, "daily-cap")
    return None

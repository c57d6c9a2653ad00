"""Makes up for a tier that could not be read: a transfer beside the credit, once the holding can be had.

A deposit whose block's state no node keeps is credited at tier 0 at the block's price (payments.md 2.5).
"""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

from sqlmodel import Session, col, or_, select

from controller.domain.deposits import CREDITED
from controller.domain.ledger import Posting, user_account
from controller.domain.pricing import Price, credit_gpu_ms, minimum_after_discount
from controller.errors import ChainUnavailable, NodesDisagree, StateForgotten
from controller.models import MoneyEvent
from controller.services.deposits import events
from controller.services.deposits.agree import is_large, of_two_nodes
from controller.services.deposits.apply import below_minimum
from controller.services.deposits.caps import provisional
from controller.services.deps import Deps
from controller.services.money.ledger import post
from controller.services.ports import Block
from controller.services.pricing.holdings import Holding, holding
from controller.settings import Settings

log = logging.getLogger(__name__)

LOOK_AGAIN_MS = 60_000


def top_up(deps: Deps, chain_id: int) -> int:
    """Top up what can be topped up now; returns how many deposits changed."""
    changed = 0
    for event in _due(deps, chain_id):
        try:
            changed += _one(deps, event)
        except (StateForgotten, NodesDisagree):
            _later(deps, event)
        except ChainUnavailable as error:
            log.warning("top-up of %s %s waits: %s", event.tx_hash, event.position, error.message)
    return changed


def _due(deps: Deps, chain_id: int) -> list[MoneyEvent]:
    again = col(MoneyEvent.look_again_ms)
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id,
        col(MoneyEvent.top_up_due),
        col(MoneyEvent.state).in_((*CREDITED, "below_min")),
        or_(again.is_(None), again <= deps.clock.now_ms()),
    )
    with deps.database.begin() as db:
        return list(db.exec(query.order_by(col(MoneyEvent.id))))


def _one(deps: Deps, event: MoneyEvent) -> bool:
    at = deps.chains[event.chain_id].block(event.block_number)
    if at.hash != event.block_hash:
        return False
    held, final_number = _holding(deps, event, at), _final_number(deps, event.chain_id)
    with deps.database.begin() as db:
        row = _locked(db, event)
        if row is None:
            return False
        return _write(db, deps, row, held, final_number)


def _holding(deps: Deps, event: MoneyEvent, at: Block) -> Holding:
    """The payer's holding at the deposit's block; where it makes a credit large, as two nodes say."""
    found = holding(deps, event.payer, at)
    if is_large(deps, event.chain_id, int(_terms(event, found, deps.settings)["gpu_ms"])):
        return holding(of_two_nodes(deps, event.chain_id), event.payer, at)
    return found


def _final_number(deps: Deps, chain_id: int) -> int | None:
    """The chain's finalized block, where its provisional credit is capped."""
    capped = deps.settings.chain_by_id(chain_id).provisional_cap_minutes is not None
    return deps.chains[chain_id].finalized_number() if capped else None


def _later(deps: Deps, event: MoneyEvent) -> None:
    with deps.database.begin() as db:
        row = _locked(db, event)
        if row is not None:
            _put_off(db, row, deps.clock.now_ms())


def _put_off(db: Session, event: MoneyEvent, now_ms: int) -> None:
    event.look_again_ms = now_ms + LOOK_AGAIN_MS
    db.add(event)


def _locked(db: Session, seen: MoneyEvent) -> MoneyEvent | None:
    """The event under the cursor's lock, if it is still what it was."""
    events.locked_cursor(db, seen.chain_id)
    row = db.get_one(MoneyEvent, seen.id)
    same = (row.state, row.block_hash, row.top_up_due) == (seen.state, seen.block_hash, True)
    return row if same else None


def _write(db: Session, deps: Deps, event: MoneyEvent, held: Holding, final_number: int | None) -> bool:
    """Book what the tier adds; False while that would pass the cap on what is not final yet."""
    now_ms = deps.clock.now_ms()
    terms = _terms(event, held, deps.settings)
    below = event.state == "below_min"
    due = [*below_minimum(db, event), event] if below else []
    reached = sum(int(e.amount) for e in due) >= int(terms["minimum"])
    more = int(terms["gpu_ms"]) + sum(int(e.evidence["gpu_ms"]) for e in due[:-1])
    extra = more if below else more - (event.credited_gpu_ms or 0)
    if (reached or not below) and provisional(db, deps, event, max(extra, 0), final_number):
        _put_off(db, event, now_ms)
        return False
    event.top_up_due, event.look_again_ms = False, None
    if below:
        event.evidence = {**event.evidence, **terms}
        db.add(event)
        if reached:
            events.credit_together(db, due, int(terms["minimum"]), now_ms)
    else:
        _book(db, event, terms, extra, now_ms)
    return True


def _book(db: Session, event: MoneyEvent, terms: dict[str, Any], extra: int, now_ms: int) -> None:
    key = f"top:{events.key_of(event)}"
    told = {**events.facts(event), **terms, "tops_up": events.key_of(event), "top_up_gpu_ms": str(extra)}
    if extra > 0:
        target = user_account(event.beneficiary or event.payer)
        moved = Posting(key, "top-up", f"issued:{event.asset}", target, extra, told)
        post(db, at_ms=now_ms, transfers=[moved])
    made = {"key": key if extra > 0 else None, "gpu_ms": str(extra)}
    event.evidence = {**event.evidence, "top_up": {**terms, **made}}
    db.add(event)
    db.flush()


def _terms(event: MoneyEvent, held: Holding, settings: Settings) -> dict[str, Any]:
    """The credit's own terms with the tier that counts; price and undiscounted minimum are those it had."""
    was, discount = event.evidence, held.effective(settings).tier.discount_bps
    price = Price(int(was["usd_answer"]), was["usd_decimals"])
    hour = Decimal(was["usd_per_gpu_hour"])
    gpu_ms = credit_gpu_ms(int(event.amount), was["token_decimals"], price, hour, discount)
    return {
        "holding": held.evidence(settings),
        "token_decimals": was["token_decimals"],
        "usd_answer": was["usd_answer"],
        "usd_decimals": was["usd_decimals"],
        "usd_per_gpu_hour": was["usd_per_gpu_hour"],
        "discount_bps": discount,
        "minimum": str(minimum_after_discount(int(was["minimum"]), discount)),
        "gpu_ms": str(gpu_ms),
    }

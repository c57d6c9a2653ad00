"""Notes price and tier of a deposit when it is first seen, before the nodes drop its block's state.

A note is no verdict: what cannot be read now is read again when the deposit is due.
"""

from __future__ import annotations

from sqlmodel import col, select

from controller.errors import ChainUnavailable, PriceUnavailable, StateForgotten
from controller.models import MoneyEvent
from controller.services.deposits import events
from controller.services.deposits.value import Verdict, kept_for_nobody, worth
from controller.services.deps import Deps


def note_new(deps: Deps, chain_id: int) -> None:
    """Ask once for every deposit of a chain that has none; a node that does not answer is asked again."""
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == chain_id, MoneyEvent.state == "confirming", ~col(MoneyEvent.noted)
    )
    with deps.database.begin() as db:
        new = list(db.exec(query.order_by(col(MoneyEvent.id))))
    for event in new:
        _note(deps, event)


def _note(deps: Deps, event: MoneyEvent) -> None:
    try:
        found = _worth(deps, event)
    except (StateForgotten, PriceUnavailable):
        found = None
    except ChainUnavailable:
        return
    with deps.database.begin() as db:
        events.locked_cursor(db, event.chain_id)
        row = db.get_one(MoneyEvent, event.id)
        if (row.state, row.block_hash, row.noted) != ("confirming", event.block_hash, False):
            return
        row.noted = True
        if found is not None:
            row.evidence = {**row.evidence, "noted": found.evidence}
        db.add(row)


def _worth(deps: Deps, event: MoneyEvent) -> Verdict | None:
    if kept_for_nobody(deps.settings, event) is not None:
        return None
    at = deps.chains[event.chain_id].block(event.block_number)
    if at.hash != event.block_hash:
        raise ChainUnavailable
    return worth(deps, event.asset, event.payer, int(event.amount), at, rail=event.rail)

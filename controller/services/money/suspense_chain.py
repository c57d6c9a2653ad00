"""What the chain says about a money event that an operator resolves: final or not, its worth, its refund.

Only reads, and outside any transaction; `suspense` writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from controller.domain.deposits import normalise_tx_hash
from controller.domain.operator_entries import Entry
from controller.errors import BadInput, EntryRefused, PriceUnavailable, StateForgotten
from controller.models import MoneyEvent
from controller.services.deposits.value import worth
from controller.services.deps import Deps
from controller.services.ports import Block


@dataclass(frozen=True)
class OnChain:
    """What the chain says about an entry's event: how far it is final, its worth, its refund.

    `worth` is the evidence of its value at its own block for a holder of nothing; None where there is no
    price. `elsewhere` marks a refund that went to another address than the payer's.
    """

    final_number: int
    block_hash: str
    worth: dict[str, Any] | None = None
    elsewhere: bool = False


def look(deps: Deps, entry: Entry) -> OnChain | None:
    """Ask the chain about the event of an `assign` or `return`; None for entries that are about none.

    Raises:
        EntryRefused: there is no such event, or the chain does not show the refund.
        ChainUnavailable: it cannot be asked.
    """
    if entry.event_id is None:
        return None
    with deps.database.begin() as db:
        event = db.get(MoneyEvent, entry.event_id)
    if event is None:
        raise EntryRefused("There is no such money event; see `axonos ledger suspense`.")
    found = look_at(deps, event, value=entry.kind == "assign" and not entry.gpu_ms)
    if entry.kind == "return":
        return replace(found, elsewhere=_refunded_to(deps, event, entry.proof) != event.payer)
    return found


def look_at(deps: Deps, event: MoneyEvent, *, value: bool) -> OnChain:
    """Read an event's block, how far the chain is final, and with `value` what the event was worth.

    Raises:
        EntryRefused: it has no price.
        ChainUnavailable: it cannot be read.
    """
    chain = deps.chains[event.chain_id]
    block = chain.block(event.block_number)
    return OnChain(chain.finalized_number(), block.hash, _worth(deps, event, block) if value else None)


def priced(entry: Entry, on_chain: OnChain | None) -> Entry:
    """An assignment without minutes is worth what the event was worth at its block, without a tier."""
    if entry.kind != "assign" or entry.gpu_ms or on_chain is None or on_chain.worth is None:
        return entry
    return replace(entry, gpu_ms=int(on_chain.worth["gpu_ms"]))


def _worth(deps: Deps, event: MoneyEvent, block: Block) -> dict[str, Any]:
    """What an event was worth at its own block to a holder of nothing, with what that was worked out from."""
    rail = deps.settings.chain_of("usdc" if event.asset == "usdc" else "eth")
    if rail.chain_id != event.chain_id:
        raise EntryRefused("Its rail is on another chain: say how many minutes.")
    try:
        return worth(deps, event.asset, None, int(event.amount), block).evidence
    except (PriceUnavailable, StateForgotten) as error:
        why = f"It has no price at its block ({error.message}): say how many minutes."
        raise EntryRefused(why) from error


def _refunded_to(deps: Deps, event: MoneyEvent, proof: str) -> str:
    """Who got the event's amount back in the transaction that an operator names."""
    try:
        tx_hash = normalise_tx_hash(proof)
    except ValueError as error:
        raise BadInput(f"This is not a transaction hash: {error}.") from error
    chain = deps.chains[event.chain_id]
    facts = chain.transaction(tx_hash)
    if not facts.succeeded or (facts.block_number or 0) > chain.finalized_number():
        raise EntryRefused("The refund's transaction is not known, has failed, or is not final yet.")
    sent = [s for s in chain.sent_in(tx_hash) if (s.asset, s.amount) == (event.asset, int(event.amount))]
    if (facts.block_number or 0) < event.block_number or not sent:
        raise EntryRefused("No revenue wallet sends exactly this amount in that transaction.")
    return next((s.recipient for s in sent if s.recipient == event.payer), sent[0].recipient)

"""A large credit is read of two nodes: payment, block, price and tier must be the same at both.

Above the chain's `agreement_above_gpu_minutes`; a single node, lying or on another branch, is not enough.
"""

from __future__ import annotations

from dataclasses import replace

from controller.domain.profiles import GPU_MS_PER_MINUTE
from controller.errors import NodesDisagree, StateForgotten
from controller.models import MoneyEvent
from controller.services.deposits.value import Verdict, worth
from controller.services.deps import Deps
from controller.services.ports import Block, Payment


def needs_agreement(deps: Deps, event: MoneyEvent, verdict: Verdict) -> bool:
    """Whether one node's word is too little for what the event is worth."""
    return bool(verdict.evidence) and is_large(deps, event.chain_id, int(verdict.evidence["gpu_ms"]))


def is_large(deps: Deps, chain_id: int, gpu_ms: int) -> bool:
    """Whether a credit is above the chain's `agreement_above_gpu_minutes`."""
    limit = deps.settings.chain_by_id(chain_id).agreement_above_gpu_minutes
    return limit is not None and gpu_ms > limit * GPU_MS_PER_MINUTE


def of_two_nodes(deps: Deps, chain_id: int) -> Deps:
    """The same, reading a chain only where two of its nodes agree."""
    return replace(deps, chains={**deps.chains, chain_id: deps.chains[chain_id].agreeing()})


def seconded(deps: Deps, event: MoneyEvent, verdict: Verdict, at: Block) -> Verdict:
    """The verdict as two nodes give it; what neither keeps any more stays as one node gave it before.

    Raises:
        NodesDisagree: they differ, or only one answers.
        ChainUnavailable: none answers.
    """
    chain = deps.chains[event.chain_id].agreeing()
    if chain.block(event.block_number) != at or not _paid(event, chain.payments_of(event.tx_hash)):
        raise NodesDisagree
    try:
        both = of_two_nodes(deps, event.chain_id)
        return worth(both, event.asset, event.payer, int(event.amount), at, rail=event.rail)
    except StateForgotten:
        return verdict


def _paid(event: MoneyEvent, payments: list[Payment]) -> bool:
    told = (event.position, event.asset, event.payer, int(event.amount), event.block_hash)
    return told in {(p.position, p.asset, p.payer, p.amount, p.block_hash) for p in payments}

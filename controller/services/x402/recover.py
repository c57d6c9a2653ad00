"""Brings settlements to their end that nobody waits for any more: the process died, or the chain took long.

A settlement is written down before it is sent, so nothing is forgotten: its receipt is looked up, it is sent
again while its authorization holds, and after that its nonce is used up so that later ones can follow.
"""

from __future__ import annotations

import logging

from sqlmodel import col, select

from controller.models import X402Payment
from controller.services.deps import Deps
from controller.services.ports_settlement import Settler
from controller.services.x402.outcome import elsewhere, on_receipt, on_sending
from controller.services.x402.terms import rail

log = logging.getLogger(__name__)

LEAVE_ALONE_MS = 3_000
FILL_AFTER_S = 30
AT_ONCE = 50


def recover(deps: Deps) -> int:
    """One look at all open settlements. Returns how many came to their end.

    Raises:
        ChainUnavailable: no node answers; everything stays as it is.
    """
    if deps.settings.x402 is None or deps.settler is None:
        return 0
    before_ms = deps.clock.now_ms() - LEAVE_ALONE_MS
    waiting = select(X402Payment).where(
        X402Payment.state == "signed",
        X402Payment.chain_id == deps.settings.chain_of("usdc").chain_id,
        X402Payment.created_at_ms <= before_ms,
    )
    with deps.database.begin() as db:
        rows = list(db.exec(waiting.order_by(col(X402Payment.sender_nonce)).limit(AT_ONCE)))
    return sum(_one(deps, rail(deps).settler, row) for row in rows)


def _one(deps: Deps, settler: Settler, row: X402Payment) -> bool:
    receipt = settler.receipt(row.tx_hash)
    if receipt is not None:
        found = on_receipt(deps, row, receipt)
        log.info("settlement %s: %s", row.tx_hash, found.row.state)
        return found.row.state != "signed"
    if settler.mined_nonce() > row.sender_nonce:
        # Its nonce is in a block, and not with it: something else used the nonce up.
        again = settler.receipt(row.tx_hash)
        found = elsewhere(deps, row, 0, "skipped") if again is None else on_receipt(deps, row, again)
        return found.row.state != "signed"
    if deps.clock.now_ms() // 1000 > row.valid_before_s + FILL_AFTER_S:
        said = settler.fill(row.sender_nonce)
        log.warning("settlement %s has run out unsent; its nonce is filled: %s", row.tx_hash, said.outcome)
        return False
    on_sending(deps, row, settler.send(row.raw))
    return False

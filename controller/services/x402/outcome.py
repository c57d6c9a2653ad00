"""What became of a signed settlement: settled, reverted, not sent.

Asked by the request that made it, and by the worker after that died; whoever asks, and however often, the
outcome is written once.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from controller.models import SettlementSender, X402Payment
from controller.services.alerts import clear_alert, raise_alert
from controller.services.deps import Deps
from controller.services.ports import Payment
from controller.services.ports_settlement import Sending, TransferReceipt
from controller.services.x402.credit import book
from controller.services.x402.terms import rail

DECIDED = ("settled", "reverted", "unsent", "skipped")


@dataclass(frozen=True)
class Outcome:
    """A settlement's row as it stands, and the state of its money event once it is settled."""

    row: X402Payment
    credit: str = ""


def on_receipt(deps: Deps, row: X402Payment, receipt: TransferReceipt) -> Outcome:
    """Write down what a block says of a settlement; book the money if it came."""
    paid = _matching(row, receipt)
    if paid is not None:
        state = book(deps, paid, receipt.block)
        return Outcome(_decide(deps, row, "settled", gas_wei=receipt.gas_wei), state)
    return elsewhere(deps, row, receipt.gas_wei, "reverted")


def elsewhere(deps: Deps, row: X402Payment, gas_wei: int, otherwise: str) -> Outcome:
    """Our transaction paid nothing: did somebody else send the same authorization first?

    Args:
        deps: ports and settings.
        row: the settlement.
        gas_wei: what our own transaction cost.
        otherwise: its state if not.
    """
    settler = rail(deps).settler
    other = settler.used_in(row.payer, row.auth_nonce)
    receipt = None if other in (None, row.tx_hash) else settler.receipt(str(other))
    paid = None if receipt is None else _matching(row, receipt)
    if receipt is None or paid is None:
        return Outcome(_decide(deps, row, otherwise, gas_wei=gas_wei))
    state = book(deps, paid, receipt.block)
    why = f"sent by somebody else in {other}"
    return Outcome(_decide(deps, row, "settled", gas_wei=gas_wei, tx_hash=paid.tx_hash, why=why), state)


def book_stray(deps: Deps, payer: str, nonce: str, amount: int) -> None:
    """Book what an authorization paid that was used before we ever saw it."""
    settler = rail(deps).settler
    other = settler.used_in(payer, nonce)
    receipt = None if other is None else settler.receipt(other)
    paid = None if receipt is None else _paid(payer, amount, receipt)
    if receipt is not None and paid is not None:
        book(deps, paid, receipt.block)


def on_sending(deps: Deps, row: X402Payment, sending: Sending) -> X402Payment:
    """Write down what a node said when the transaction was sent; give its nonce back if it was refused.

    A nonce goes back only while no later one is taken. Otherwise the settlement stays open, and the worker
    sends it again or fills the gap once the authorization has run out.
    """
    with deps.database.begin() as db:
        turn = _turn(db, row)
        mine = _locked(db, row)
        if mine.state != "signed":
            return mine
        now_ms = deps.clock.now_ms()
        if sending.outcome == "taken":
            mine.sent_at_ms = mine.sent_at_ms or now_ms
            clear_alert(db, "settlement", "gas", now_ms)
        else:
            mine.why = f"not taken by the node: {sending.why}"
            raise_alert(db, "settlement", "gas", mine.why, now_ms)
            if turn.next_nonce == mine.sender_nonce + 1 and mine.sent_at_ms is None:
                turn.next_nonce -= sending.outcome == "refused"
                mine.state, mine.gas_wei, mine.decided_at_ms = "unsent", 0, now_ms
                db.add(turn)
        db.add(mine)
        return mine


def resync(deps: Deps, row: X402Payment, pending_nonce: int) -> None:
    """The chain is ahead of our count: somebody else uses the settlement key, or the database is older."""
    with deps.database.begin() as db:
        turn = _turn(db, row)
        if turn.next_nonce < pending_nonce:
            turn.next_nonce = pending_nonce
            db.add(turn)


def _matching(row: X402Payment, receipt: TransferReceipt) -> Payment | None:
    return _paid(row.payer, int(row.amount), receipt)


def _paid(payer: str, amount: int, receipt: TransferReceipt) -> Payment | None:
    if not receipt.succeeded:
        return None
    wanted = ("usdc", payer, amount)
    return next((p for p in receipt.payments if (p.asset, p.payer, p.amount) == wanted), None)


def _decide(
    deps: Deps, row: X402Payment, state: str, *, gas_wei: int, tx_hash: str | None = None, why: str = ""
) -> X402Payment:
    with deps.database.begin() as db:
        mine = _locked(db, row)
        if mine.state == "signed":
            mine.state, mine.why, mine.gas_wei = state, why or mine.why, gas_wei
            mine.tx_hash = tx_hash or mine.tx_hash
            mine.decided_at_ms = deps.clock.now_ms()
            db.add(mine)
            if state == "settled":
                for subject in ("gas", "breaker"):
                    clear_alert(db, "settlement", subject, mine.decided_at_ms)
        return mine


def _turn(db: Session, row: X402Payment) -> SettlementSender:
    return db.get_one(SettlementSender, (row.chain_id, row.sender), with_for_update=True)


def _locked(db: Session, row: X402Payment) -> X402Payment:
    return db.get_one(X402Payment, row.id, with_for_update=True)

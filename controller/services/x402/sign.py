"""Gives a settlement its nonce and writes it down before it is sent; refuses what would waste gas.

Everything is decided under the lock of the sender's row: of any number of copies of one payment, one is
signed. No node is asked meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, or_, select

from controller.domain.x402 import Authorization
from controller.errors import PaymentUsed, SessionAlreadyLive, SettlementPaused, TooManyRequests
from controller.models import SettlementSender, X402Payment
from controller.services.deps import Deps
from controller.services.ports_settlement import SignedTransfer
from controller.services.queue import claims
from controller.services.shells import signed_keys
from controller.services.x402.terms import rail

DAY_MS = 86_400_000
_REVERTED = text("""
    SELECT count(*) AS every, count(*) FILTER (WHERE payer = :payer) AS own, min(decided_at_ms) AS first
    FROM x402_payment WHERE state = 'reverted' AND chain_id = :chain AND decided_at_ms > :since""")
_SPENT = text("""
    SELECT coalesce(sum(gas_wei), 0) FROM x402_payment
    WHERE chain_id = :chain AND created_at_ms > :since AND state <> 'unsent'""")


@dataclass(frozen=True)
class Order:
    """What is to be paid for: the authorization, and what it is bound to.

    `wanted` is the hash of the request; `key_hash` that of the client's idempotency key, empty without one.
    `ssh_key`: a session for this key is wanted; then the payer must have no other live one, and where it has
    anything here it must have named the key. Empty where no session is wanted.
    """

    chain_id: int
    signed: Authorization
    wanted: str
    key_hash: str
    ssh_key: str


def known(db: Session, order: Order) -> X402Payment | None:
    """The payment that this order was made with before: same authorization, or same key of the payer."""
    same = col(X402Payment.auth_nonce) == order.signed.nonce
    if order.key_hash:
        same = or_(same, col(X402Payment.idempotency_hash) == order.key_hash)
    query = select(X402Payment).where(
        X402Payment.chain_id == order.chain_id,
        X402Payment.payer == order.signed.payer,
        same,
        col(X402Payment.state).in_(("signed", "settled")),
    )
    return db.exec(query.order_by(col(X402Payment.id))).first()


def newest(db: Session, order: Order) -> X402Payment:
    """The row that was signed last for this authorization, whatever became of it."""
    query = select(X402Payment).where(
        X402Payment.chain_id == order.chain_id,
        X402Payment.payer == order.signed.payer,
        X402Payment.auth_nonce == order.signed.nonce,
    )
    return db.exec(query.order_by(col(X402Payment.id).desc()).limit(1)).one()


def sign(
    deps: Deps, order: Order, build: Callable[[int], SignedTransfer], first_nonce: int
) -> SignedTransfer:
    """Choose the nonce, sign, and write the settlement down; it is not sent yet.

    Args:
        deps: ports and settings.
        order: verified and simulated.
        build: signs for a nonce.
        first_nonce: where to begin with a sender that never sent.

    Raises:
        PaymentUsed: another request was first.
        SessionAlreadyLive: the payer has a session, so this money would buy none.
        SignatureNeeded: the payer has files or credit here, and did not name this key.
        SettlementPaused: the day's gas is used up, or too much has failed lately.
        TooManyRequests: this payer's payments failed lately.
    """
    with deps.database.begin() as db:
        turn = locked_sender(deps, db, first_nonce)
        if known(db, order) is not None:
            raise PaymentUsed
        if order.ssh_key:
            _check_alone(db, order.signed.payer)
            signed_keys.check(db, order.signed.payer, order.ssh_key, deps.clock.now_ms())
        _check_failures(deps, db, order)
        made = build(turn.next_nonce)
        _check_budget(deps, db, made.gas_wei)
        db.add(_row(deps, order, made))
        turn.next_nonce += 1
        db.add(turn)
        return made


def locked_sender(deps: Deps, db: Session, first_nonce: int) -> SettlementSender:
    """The sender's row, locked until the transaction ends; made before its first settlement."""
    settler, chain_id = rail(deps).settler, deps.settings.chain_of("usdc").chain_id
    values = {"chain_id": chain_id, "address": settler.sender, "next_nonce": first_nonce}
    query = select(SettlementSender).where(
        SettlementSender.chain_id == chain_id, SettlementSender.address == settler.sender
    )
    found = db.exec(query.with_for_update()).one_or_none()
    if found is None:
        db.execute(insert(SettlementSender).values(**values).on_conflict_do_nothing())
        found = db.exec(query.with_for_update()).one()
    return found


def sender_known(deps: Deps) -> bool:
    """Whether the sender has a row."""
    key = (deps.settings.chain_of("usdc").chain_id, rail(deps).settler.sender)
    with deps.database.begin() as db:
        return db.get(SettlementSender, key) is not None


def _check_alone(db: Session, payer: str) -> None:
    try:
        claims.check_live(db, payer)
    except SessionAlreadyLive as error:
        # A payment speaks for itself, not for whatever else its wallet has.
        raise SessionAlreadyLive("This wallet has a session already. Nothing was taken.") from error


def _check_failures(deps: Deps, db: Session, order: Order) -> None:
    settings, now_ms = rail(deps).settings, deps.clock.now_ms()
    window_ms = settings.breaker_minutes * 60_000
    asked = {"payer": order.signed.payer, "chain": order.chain_id, "since": now_ms - window_ms}
    failed = db.execute(_REVERTED, asked).mappings().one()
    again_s = max((int(failed["first"] or now_ms) + window_ms - now_ms) // 1000 + 1, 1)
    if failed["own"]:
        raise TooManyRequests("A payment of this wallet failed on the chain. Wait.", retry_after_s=again_s)
    if failed["every"] >= settings.breaker_reverts:
        raise SettlementPaused(retry_after_s=again_s)


def _check_budget(deps: Deps, db: Session, gas_wei: int) -> None:
    asked = {"chain": deps.settings.chain_of("usdc").chain_id, "since": deps.clock.now_ms() - DAY_MS}
    spent = int(db.execute(_SPENT, asked).scalar_one())
    if spent + gas_wei > rail(deps).settings.gas_budget_wei:
        raise SettlementPaused("The day's gas is used up. Nothing was taken.", retry_after_s=3_600)


def _row(deps: Deps, order: Order, made: SignedTransfer) -> X402Payment:
    return X402Payment(
        chain_id=order.chain_id,
        payer=order.signed.payer,
        auth_nonce=order.signed.nonce,
        amount=order.signed.amount,
        valid_before_s=order.signed.valid_before_s,
        wanted=order.wanted,
        idempotency_hash=order.key_hash,
        session_id=deps.new_id(),
        state="signed",
        sender=made.sender,
        sender_nonce=made.nonce,
        raw=made.raw,
        tx_hash=made.tx_hash,
        gas_wei=made.gas_wei,
        created_at_ms=deps.clock.now_ms(),
    )

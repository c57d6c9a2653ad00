"""`AssignDeposit`: a payer's signature moves one deposit to another wallet, once, as far as it is unspent.

The signature is the permission, whoever brings it; a contract that paid is asked by EIP-1271. Only deposits
whose block is final move, so that no reorganisation has to look for minutes that went on.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from controller.domain import assign_deposit as rules
from controller.domain.assign_deposit import Assignment
from controller.domain.deposits import normalise_tx_hash
from controller.domain.ledger import Posting, user_account
from controller.domain.profiles import GPU_MS_PER_MINUTE
from controller.errors import AssignmentRefused, BadInput, NotYours, SignInRefused
from controller.models import DepositAssignment, GpuSession, MoneyEvent, Wallet
from controller.services.deposits import events
from controller.services.deposits.value import own_addresses
from controller.services.deps import Deps
from controller.services.money import metering
from controller.services.money.ledger import balance, lock_journal, post
from controller.services.money.suspense import facts
from controller.services.money.suspense_chain import OnChain, look_at
from controller.services.sessions import life

WORDS_LIFE_S = 3_600


@dataclass(frozen=True)
class AssignmentView:
    """An assignment that was made: what moved, from whom to whom."""

    chain_id: int
    tx_hash: str
    event_index: str
    payer: str
    beneficiary: str
    gpu_ms: int
    at_ms: int


def words(deps: Deps, chain_id: int, tx_hash: str, event_index: str, beneficiary: str) -> dict[str, Any]:
    """What the payer of a deposit has to sign to give it to `beneficiary`; good for an hour, stored nowhere.

    Raises:
        BadInput: it makes no sense.
        AssignmentRefused: there is no such deposit.
    """
    deadline_s = deps.clock.now_ms() // 1000 + WORDS_LIFE_S
    asked = Assignment(chain_id, tx_hash, event_index, beneficiary, secrets.randbits(128), deadline_s)
    asked = _sensible(deps, asked)
    with deps.database.begin() as db:
        return rules.words(asked, _event(db, asked).recipient)


def assign(deps: Deps, wallet: str, asked: Assignment, signature: str) -> AssignmentView:
    """Move a deposit by its payer's signature; the same one again changes nothing and gives the same answer.

    Args:
        deps: ports.
        wallet: who asks, signed in: the payer or the beneficiary.
        asked: the words that were signed.
        signature: the payer's, hex with 0x.

    Raises:
        BadInput: it makes no sense, or its deadline is over.
        NotYours: neither payer nor beneficiary asks.
        SignInRefused: the payer did not sign this.
        AssignmentRefused: it was assigned before, is not final, or nothing is left of it.
        ChainUnavailable: the payer's contract, or the block, could not be asked.
    """
    asked = _sensible(deps, asked)
    with deps.database.begin() as db:
        event = _event(db, asked)
        if wallet not in {event.payer, asked.beneficiary}:
            raise NotYours("Only a deposit's payer or its new owner can ask for this.")
        known = _made(db, event, asked)
    if known:
        return known
    late = rules.untimely(asked, deps.clock.now_ms() // 1000)
    if late:
        raise BadInput(f"This deposit cannot be assigned: {late}.")
    _check_signature(deps, event, asked, signature)
    on_chain = look_at(deps, event, value=event.state == "unattributed")
    with deps.database.begin() as db:
        _settle_sessions(deps, db, event.payer)
        events.locked_cursor(db, event.chain_id)
        lock_journal(db)
        event = _event(db, asked)
        return _made(db, event, asked) or _move(deps, db, event, _row(event, asked, signature), on_chain)


def _sensible(deps: Deps, asked: Assignment) -> Assignment:
    try:
        tx_hash = normalise_tx_hash(asked.tx_hash)
    except ValueError as error:
        raise BadInput(f"This is not a transaction hash: {error}.", field="tx_hash") from error
    plain = {**asdict(asked), "tx_hash": tx_hash, "beneficiary": asked.beneficiary.lower()}
    asked = Assignment(**plain)
    wrong = rules.problem(asked)
    if wrong is None and asked.chain_id not in deps.chains:
        wrong = "this platform takes no payments on that chain"
    if wrong is None and asked.beneficiary in own_addresses(deps.settings, asked.chain_id):
        wrong = "the beneficiary is one of the platform's own addresses"
    if wrong:
        raise BadInput(f"This deposit cannot be assigned: {wrong}.")
    return asked


def _event(db: Session, asked: Assignment) -> MoneyEvent:
    query = select(MoneyEvent).where(
        MoneyEvent.chain_id == asked.chain_id,
        MoneyEvent.tx_hash == asked.tx_hash,
        MoneyEvent.position == asked.event_index,
    )
    event = db.exec(query.execution_options(populate_existing=True)).one_or_none()
    if event is None:
        raise AssignmentRefused("There is no such deposit.")
    return event


def _made(db: Session, event: MoneyEvent, asked: Assignment) -> AssignmentView | None:
    """The same assignment, if it was made; raises AssignmentRefused where deposit or nonce went elsewhere."""
    nonce = str(asked.nonce)
    query = select(DepositAssignment).where(
        (DepositAssignment.event_id == event.id)
        | ((DepositAssignment.signer == event.payer) & (DepositAssignment.nonce == nonce))
    )
    rows = list(db.exec(query))
    if not rows:
        return None
    row = rows[0]
    if (row.event_id, row.beneficiary, row.nonce) != (event.id, asked.beneficiary, nonce):
        raise AssignmentRefused("This deposit, or this nonce, was used for another assignment.")
    return _view(event, row)


def _check_signature(deps: Deps, event: MoneyEvent, asked: Assignment, signature: str) -> None:
    said = rules.words(asked, event.recipient)
    if not deps.sign_in.signed_words(event.payer, said, signature, chain_id=event.chain_id):
        raise SignInRefused("The deposit's payer did not sign this.", reason="signature")


def _settle_sessions(deps: Deps, db: Session, payer: str) -> None:
    """Charge the payer's sessions first, so that minutes that were used up are not given away."""
    live = select(GpuSession.id).where(GpuSession.wallet == payer, GpuSession.state == "running")
    for session in db.exec(live.order_by(GpuSession.id)).all():
        metering.settle(db, life.lock(db, session), deps.clock.now_ms())


def _row(event: MoneyEvent, asked: Assignment, signature: str) -> DepositAssignment:
    assert event.id is not None
    return DepositAssignment(
        event_id=event.id,
        signer=event.payer,
        beneficiary=asked.beneficiary,
        nonce=str(asked.nonce),
        deadline_s=asked.deadline_s,
        signature=signature,
        gpu_ms=0,
        at_ms=0,
    )


def _move(
    deps: Deps, db: Session, event: MoneyEvent, row: DepositAssignment, on_chain: OnChain
) -> AssignmentView:
    if row.beneficiary == event.payer:
        raise BadInput("The deposit is the payer's already.")
    if on_chain.block_hash != event.block_hash or on_chain.final_number < event.block_number:
        raise AssignmentRefused("The deposit's block is not final yet. Try again in a while.")
    row.at_ms, row.gpu_ms = deps.clock.now_ms(), _worth(db, event, on_chain)
    db.add(row)
    wallet = insert(Wallet).values(address=row.beneficiary, created_at_ms=row.at_ms)
    db.execute(wallet.on_conflict_do_nothing())
    _book(db, event, row, on_chain)
    db.flush()
    return _view(event, row)


def _worth(db: Session, event: MoneyEvent, on_chain: OnChain) -> int:
    if event.state == "unattributed" and on_chain.worth is not None:
        return int(on_chain.worth["gpu_ms"])
    if event.state != "final" or event.beneficiary is not None:
        raise AssignmentRefused("This deposit is not credited for good, or was given to somebody already.")
    provisional = select(func.coalesce(func.sum(MoneyEvent.credited_gpu_ms), 0)).where(
        func.coalesce(col(MoneyEvent.beneficiary), col(MoneyEvent.payer)) == event.payer,
        MoneyEvent.state == "credited",
    )
    # A running session keeps a minute: what it used since its last proof of life is still to be charged.
    running = select(func.coalesce(func.sum(GpuSession.gpus), 0)).where(
        GpuSession.wallet == event.payer, GpuSession.state == "running"
    )
    kept = int(db.exec(running).one()) * GPU_MS_PER_MINUTE
    free = balance(db, event.payer).available_gpu_ms - kept
    left = rules.movable(event.credited_gpu_ms or 0, free, int(db.exec(provisional).one() or 0))
    if left == 0:
        raise AssignmentRefused("Nothing is left of this deposit that could be given away.")
    return left


def _book(db: Session, event: MoneyEvent, row: DepositAssignment, on_chain: OnChain) -> None:
    key, user = f"asg:{event.id}", user_account(row.beneficiary)
    why = {**facts(event), "beneficiary": row.beneficiary, "nonce": row.nonce, "signature": row.signature}
    if event.state == "final":
        moved = Posting(key, "assign", user_account(event.payer), user, row.gpu_ms, why)
        post(db, at_ms=row.at_ms, transfers=[moved])
        return
    events.book_tokens(db, event, "received", row.at_ms)
    given = Posting(
        key, "assign", f"issued:{event.asset}", user, row.gpu_ms, {**(on_chain.worth or {}), **why}
    )
    post(db, at_ms=row.at_ms, transfers=[given])
    event.beneficiary, event.credited_gpu_ms, event.transfer_key = row.beneficiary, row.gpu_ms, key
    events.move(db, event, "final", f"assigned by its payer to {row.beneficiary}", row.at_ms)


def _view(event: MoneyEvent, row: DepositAssignment) -> AssignmentView:
    return AssignmentView(
        event.chain_id, event.tx_hash, event.position, row.signer, row.beneficiary, row.gpu_ms, row.at_ms
    )

"""Operator entries: asked for once per request id, posted at once or after a second operator's approval.

Nothing here writes a balance: an entry becomes a transfer with its reason, its maker and its approver, in
the same transaction as its request. Whoever decides about entries holds the journal's lock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from controller.domain import operator_entries as rules
from controller.domain.operator_entries import Entry, Plan
from controller.errors import BadInput, EntryRefused, NotEnoughCredit, NotYours, RequestConflict
from controller.models import LedgerRequest
from controller.services.deps import Deps
from controller.services.money import suspense, suspense_chain
from controller.services.money.ledger import balance, lock_account, lock_journal, post
from controller.services.money.suspense_chain import OnChain

LISTED = 200
REPEATED = "this request id was used for this before; nothing more is done"
_REFUNDABLE = text("""
    SELECT coalesce((SELECT sum((w.to_ms - w.from_ms) * w.gpus) FROM usage_window w
                     WHERE w.session_id = s.id AND w.kind = 'used'), 0)
         - coalesce((SELECT sum(r.gpu_ms) FROM ledger_request r
                     WHERE r.session_id = s.id AND r.kind = 'refund' AND r.state = 'done'), 0) AS gpu_ms
    FROM gpu_session s WHERE s.id = :session AND s.wallet = :wallet""")


@dataclass(frozen=True)
class RequestView:
    """One entry as operators see it; `gpu_ms` is signed."""

    request_id: str
    kind: str
    wallet: str | None
    gpu_ms: int
    event_id: int | None
    session_id: str | None
    reason: str
    proof: str
    actor: str
    asked_at_ms: int
    state: str
    approver: str | None
    decided_at_ms: int | None


def plan(deps: Deps, entry: Entry, actor: str) -> Plan:
    """What `submit` would do, without doing it.

    Args:
        deps: ports.
        entry: what is asked for.
        actor: who asks: the system user.

    Raises:
        BadInput: the entry makes no sense by itself.
        EntryRefused: it cannot be done; the message says why.
        NotEnoughCredit: an adjustment takes more than there is.
        RequestConflict: the request id stands for another entry.
        ChainUnavailable: what it rests on could not be read.
    """
    with deps.database.begin() as db:
        known = _known(db, entry)
        if known:
            return _plan(db, _said(known), known.state, REPEATED)
    on_chain = suspense_chain.look(deps, entry)
    entry = suspense_chain.priced(entry, on_chain)
    with deps.database.begin() as db:
        _check(db, entry, on_chain)
        state, because = _course(deps, db, entry, actor, on_chain)
        return _plan(db, entry, state, because)


def submit(deps: Deps, entry: Entry, actor: str) -> RequestView:
    """Make an entry, once per request id however often and from wherever it is asked for.

    Returns:
        the request: `done`, or `waiting` for a second operator.

    Raises:
        As `plan`.
    """
    with deps.database.begin() as db:
        known = _known(db, entry)
        if known:
            return _view(known)
    on_chain = suspense_chain.look(deps, entry)
    entry = suspense_chain.priced(entry, on_chain)
    with deps.database.begin() as db:
        suspense.lock(db, entry)
        lock_journal(db)
        known = _known(db, entry)
        if known:
            return _view(known)
        _check(db, entry, on_chain)
        state, _ = _course(deps, db, entry, actor, on_chain)
        now_ms = deps.clock.now_ms()
        row = LedgerRequest(**asdict(entry), actor=actor, asked_at_ms=now_ms, state=state)
        if state == "done":
            row.decided_at_ms = now_ms
            _post(db, row, entry, on_chain, now_ms)
        db.add(row)
        db.flush()
        return _view(row)


def decide(deps: Deps, request_id: str, actor: str, *, refuse: bool = False) -> RequestView:
    """Approve a waiting entry, which posts it, or refuse it for good; repeating a decision changes nothing.

    Args:
        deps: ports.
        request_id: which one.
        actor: who decides; approving takes another system user than asking did.
        refuse: refuse instead; the maker may, too.

    Raises:
        NotYours: there is no such request.
        EntryRefused: it was decided otherwise, or by its own maker.
        NotEnoughCredit: what it takes is no longer there.
    """
    wanted = "refused" if refuse else "done"
    entry = _entry_of(deps, request_id)
    on_chain = None if refuse else suspense_chain.look(deps, entry)
    with deps.database.begin() as db:
        suspense.lock(db, entry)
        lock_journal(db)
        row = db.get_one(LedgerRequest, request_id)
        if row.state == wanted:
            return _view(row)
        if row.state != "waiting":
            raise EntryRefused(f"This entry is {row.state} already.")
        if not refuse and actor == row.actor:
            raise EntryRefused("Whoever asked for an entry cannot approve it; another operator must.")
        now_ms = deps.clock.now_ms()
        row.state, row.approver, row.decided_at_ms = wanted, actor, now_ms
        if not refuse:
            _check(db, entry, on_chain, itself=True)
            _post(db, row, entry, on_chain, now_ms)
        db.add(row)
        db.flush()
        return _view(row)


def requests(deps: Deps, *, waiting_only: bool = False) -> list[RequestView]:
    """Operator entries, newest first."""
    query = select(LedgerRequest).order_by(col(LedgerRequest.asked_at_ms).desc()).limit(LISTED)
    if waiting_only:
        query = query.where(LedgerRequest.state == "waiting")
    with deps.database.begin() as db:
        return [_view(row) for row in db.exec(query)]


def _known(db: Session, entry: Entry) -> LedgerRequest | None:
    """The request of that id, if there is one; raises RequestConflict where it says something else."""
    row = db.get(LedgerRequest, entry.request_id)
    if row is not None and not rules.same(entry, _said(row)):
        raise RequestConflict(request_id=entry.request_id)
    return row


def _said(row: LedgerRequest) -> Entry:
    return Entry(**{name: getattr(row, name) for name in Entry.__dataclass_fields__})


def _entry_of(deps: Deps, request_id: str) -> Entry:
    with deps.database.begin() as db:
        row = db.get(LedgerRequest, request_id)
    if row is None:
        raise NotYours("There is no operator entry with this request id.")
    return _said(row)


def _check(db: Session, entry: Entry, on_chain: OnChain | None, *, itself: bool = False) -> None:
    wrong = rules.problem(entry)
    if wrong:
        raise BadInput(f"{wrong[0].upper()}{wrong[1:]}.")
    if entry.kind == "adjust" and entry.gpu_ms < 0 and entry.wallet:
        lock_account(db, entry.wallet)
        available = balance(db, entry.wallet).available_gpu_ms
        if available < -entry.gpu_ms:
            raise NotEnoughCredit("The wallet has less than that.", available_gpu_ms=available)
    if entry.kind == "refund":
        _check_refund(db, entry)
    if entry.event_id is not None:
        suspense.check(db, entry, on_chain, itself=itself)


def _check_refund(db: Session, entry: Entry) -> None:
    asked = {"session": entry.session_id, "wallet": entry.wallet}
    left = db.execute(_REFUNDABLE, asked).scalar_one_or_none()
    if left is None:
        raise EntryRefused("This wallet has no such session.")
    if int(left) < entry.gpu_ms:
        raise EntryRefused(
            f"The session was charged no more than {int(left)} GPU-milliseconds that were not given back.",
            refundable_gpu_ms=int(left),
        )


def _course(deps: Deps, db: Session, entry: Entry, actor: str, on_chain: OnChain | None) -> tuple[str, str]:
    """`done` or `waiting`, and because of what."""
    now_ms, limit = deps.clock.now_ms(), deps.settings.ledger.second_approval_above_minutes
    if on_chain is not None and on_chain.elsewhere:
        return (
            "waiting",
            "it was returned to another address than the payer's: a second operator must approve",
        )
    if entry.kind == "return":
        return "done", "the chain shows that it was returned"
    alone = db.exec(
        select(func.coalesce(func.sum(func.abs(LedgerRequest.gpu_ms)), 0)).where(
            LedgerRequest.actor == actor,
            LedgerRequest.state == "done",
            col(LedgerRequest.approver).is_(None),
            LedgerRequest.asked_at_ms > now_ms - rules.SPLIT_WINDOW_MS,
        )
    ).one()
    if rules.needs_approval(entry.gpu_ms, int(alone), limit):
        return "waiting", f"above {limit} minutes a day a second operator must approve"
    return "done", f"within {limit} minutes a day"


def _post(db: Session, row: LedgerRequest, entry: Entry, on_chain: OnChain | None, now_ms: int) -> None:
    who = {"actor": row.actor, "approver": row.approver}
    if entry.event_id is not None:
        suspense.settle(db, entry, on_chain, rules.why(entry, who), now_ms)
        return
    post(db, at_ms=now_ms, transfers=[rules.posting(entry, who)])


def _plan(db: Session, entry: Entry, state: str, because: str) -> Plan:
    before = balance(db, entry.wallet).gpu_ms if entry.wallet else None
    after = before if before is None or because == REPEATED else before + entry.gpu_ms
    shown = Plan(entry.request_id, entry.kind, entry.wallet, entry.gpu_ms, before, after, state, because)
    return replace(shown, detail=suspense.describe(db, entry) if entry.event_id is not None else {})


def _view(row: LedgerRequest) -> RequestView:
    return RequestView(**{name: getattr(row, name) for name in RequestView.__dataclass_fields__})

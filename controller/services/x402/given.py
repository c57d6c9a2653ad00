"""What an agent is told: its session, its payment, its balance, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.domain.pricing import minutes_text
from controller.errors import NotYours
from controller.models import GpuSession
from controller.services.deps import Deps
from controller.services.money import ledger
from controller.services.ports_settlement import Terms
from controller.services.queue import views as queue_views
from controller.services.sessions import ends
from controller.services.sessions import tokens as session_tokens
from controller.services.sessions.reads import view
from controller.services.sessions.tokens import Bearer
from controller.services.sessions.views import SessionView
from controller.services.x402.outcome import Outcome

BUSY = ("starting", "running", "grace")


@dataclass(frozen=True)
class PaymentView:
    """A payment: `credited`, `confirming` until the chain has confirmed it, or `settling`."""

    state: str
    transaction: str
    network: str
    payer: str
    amount: str


@dataclass(frozen=True)
class Given:
    """The answer to an agent. `problem` says why there is no session although the credit is there."""

    session: SessionView | None
    session_id: str | None
    session_token: str | None
    ends_by_ms: int | None
    balance_gpu_ms: int
    balance_minutes: str
    payment: PaymentView | None
    problem: dict[str, Any] | None
    status_url: str
    end_url: str
    opened: bool


def read(deps: Deps, session_id: str) -> SessionView:
    """A session by its id; raises NotYours where there is none."""
    with deps.database.begin() as db:
        row = db.get(GpuSession, session_id)
        if row is None:
            raise NotYours
        return queue_views.told(db, row, view(db, row), deps.clock.now_ms())


def show(deps: Deps, bearer: Bearer) -> Given:
    """What the holder of a session token sees; its settlement may still be on its way."""
    try:
        session: SessionView | None = read(deps, bearer.session_id)
    except NotYours:
        session = None
    return given(deps, bearer.wallet, bearer.session_id, session, token=False)


def end(deps: Deps, bearer: Bearer) -> Given:
    """End the session of a token; asking again changes nothing."""
    ends.end(deps, bearer.wallet, bearer.session_id)
    return show(deps, bearer)


def payment_view(asked: Terms, outcome: Outcome) -> PaymentView:
    """A payment as its answer tells it."""
    row = outcome.row
    state = "settling" if row.state != "settled" else outcome.credit or "credited"
    state = state if state in ("credited", "final", "settling") else "confirming"
    return PaymentView(
        "credited" if state == "final" else state, row.tx_hash, asked.network, row.payer, str(int(row.amount))
    )


def given(
    deps: Deps,
    wallet: str,
    session_id: str,
    session: SessionView | None,
    *,
    paid: PaymentView | None = None,
    problem: dict[str, Any] | None = None,
    token: bool = True,
) -> Given:
    """The whole answer.

    Args:
        deps: ports and settings.
        wallet: whose session it is.
        session_id: the session's id, also where there is none yet.
        session: the session, None where there is none.
        paid: the payment of this request.
        problem: why there is no session although money came.
        token: whether to make a session token; its holder has one.
    """
    now_ms, origin = deps.clock.now_ms(), deps.settings.web.origin
    with deps.database.begin() as db:
        balance = ledger.balance(db, wallet)
        text = session_tokens.issue(db, wallet, session_id, now_ms) if token else None
    return Given(
        session=session,
        session_id=session_id if session else None,
        session_token=text,
        ends_by_ms=_ends_by(session, balance.gpu_ms, now_ms),
        balance_gpu_ms=balance.gpu_ms,
        balance_minutes=minutes_text(balance.gpu_ms),
        payment=paid,
        problem=problem,
        status_url=f"{origin}/api/x402/session",
        end_url=f"{origin}/api/x402/session/end",
        opened=session is not None and session.state in BUSY,
    )


def _ends_by(session: SessionView | None, balance_gpu_ms: int, now_ms: int) -> int | None:
    """When it ends at the latest unless it is topped up; None while it holds no GPUs."""
    if session is None or session.state not in BUSY:
        return None
    paid_until_ms = now_ms + max(balance_gpu_ms, 0) // session.gpus
    until_ms = session.guarantee.until_ms if session.guarantee else None
    return paid_until_ms if until_ms is None else min(paid_until_ms, until_ms)

"""Pay and claim in one call: what an agent gets for its payment, or for a balance that it signed for.

Whatever goes wrong after the money came is no refusal: the credit is booked, the answer says what is missing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlmodel import select

from controller.domain.gpu_models import ANY
from controller.domain.profiles import Profile
from controller.domain.x402 import Payload, wanted_hash
from controller.errors import AxonosError, NotYours, PaymentNeeded, PaymentUsed
from controller.models import X402Payment
from controller.services.deps import Deps
from controller.services.ports_settlement import Terms
from controller.services.queue import claims, gpu_choice
from controller.services.sessions.tokens import Bearer
from controller.services.sessions.views import SessionView
from controller.services.shells import signed_keys
from controller.services.shells.public_keys import read_key
from controller.services.x402.desk import Desk
from controller.services.x402.given import Given, PaymentView, given, payment_view, read

MAX_WAIT_S = 25
LOOK_S = 0.1
SETTLING = {
    "code": "settling",
    "message": "The payment is on its way. Send this again with the session token instead of a payment.",
    "retry": True,
}


@dataclass(frozen=True)
class Wanted:
    """What is asked for: a shell of a profile for one key, the GPU model, how long to wait for it."""

    profile: Profile
    ssh_key: str
    accept_bounded: bool = False
    wait_s: int = 0
    gpu_model: str = ANY

    @property
    def hash(self) -> str:
        """What a payment for this is bound to."""
        model = () if self.gpu_model == ANY else (self.gpu_model,)
        return wanted_hash("session", self.profile.name, self.ssh_key, str(self.accept_bounded), *model)


def wanted(
    profile: Profile, ssh_key: str, *, accept_bounded: bool, wait_s: int, gpu_model: str = ANY
) -> Wanted:
    """Check what is asked for, before any money moves.

    Raises:
        BadSshKey: the key is none.
    """
    key, wait_s = read_key(ssh_key).text, min(max(wait_s, 0), MAX_WAIT_S)
    return Wanted(profile, key, accept_bounded, wait_s, gpu_model)


def check_possible(deps: Deps, want: Wanted) -> None:
    """Raises ProfileTooLarge or UnknownGpuModel where no host could ever hold what is asked for."""
    with deps.database.begin() as db:
        gpu_choice.check(db, want.profile, want.gpu_model)


def for_payment(
    deps: Deps, desk: Desk, asked: Terms, payload: Payload, want: Wanted, *, key: str | None, caller: str
) -> Given:
    """Settle, book, claim.

    Raises:
        PaymentNeeded, PaymentUsed, Unavailable: as `Desk.take`; nothing was taken.
        ProfileTooLarge, UnknownGpuModel, SessionAlreadyLive: this money buys no session; it is not taken.
        SignatureNeeded: the payer has files or credit here, and did not name this key.
    """
    check_possible(deps, want)
    outcome = desk.take(asked, payload, want.hash, key=key, caller=caller, ssh_key=want.ssh_key)
    row, paid = outcome.row, payment_view(asked, outcome)
    return _for_row(deps, desk, row, want, paid)


def for_token(deps: Deps, desk: Desk, bearer: Bearer, want: Wanted) -> Given:
    """Claim what a payment was for that had not settled, or not been credited, when it was answered.

    Raises:
        NotYours: the token belongs to no payment.
        PaymentUsed: the payment was for something else.
        PaymentNeeded: it came to nothing; no money moved.
    """
    with deps.database.begin() as db:
        row = db.exec(select(X402Payment).where(X402Payment.session_id == bearer.session_id)).first()
    if row is None:
        raise NotYours
    if row.wanted != want.hash:
        raise PaymentUsed
    if row.state not in ("signed", "settled"):
        raise PaymentNeeded(reason="settlement_failed")
    return _for_row(deps, desk, row, want, None)


def _for_row(deps: Deps, desk: Desk, row: X402Payment, want: Wanted, paid: PaymentView | None) -> Given:
    if row.state != "settled":
        return given(deps, row.payer, row.session_id, None, paid=paid, problem=dict(SETTLING))
    session, problem = _claimed(deps, desk, row.payer, want, row.session_id)
    return given(deps, row.payer, row.session_id, session, paid=paid, problem=problem)


def for_balance(deps: Deps, desk: Desk, wallet: str, want: Wanted) -> Given:
    """Claim with credit that is there; the wallet has signed for it, and for the key of a payment after it.

    Raises:
        NotEnoughCredit, SessionAlreadyLive, ProfileTooLarge: as `claims.claim`.
    """
    signed_keys.remember(deps, wallet, want.ssh_key)
    session = _claim(deps, wallet, want, deps.new_id())
    return given(deps, wallet, session.id, _waited(deps, desk, session, want.wait_s))


def _claimed(
    deps: Deps, desk: Desk, wallet: str, want: Wanted, session_id: str
) -> tuple[SessionView | None, dict[str, Any] | None]:
    try:
        return _waited(deps, desk, _claim(deps, wallet, want, session_id), want.wait_s), None
    except AxonosError as error:
        return None, _problem(error)


def _problem(error: AxonosError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "retry": error.retry}


def _claim(deps: Deps, wallet: str, want: Wanted, session_id: str) -> SessionView:
    return claims.claim(
        deps,
        wallet,
        want.profile.name,
        kind="ssh",
        ssh_key=want.ssh_key,
        accept_bounded=want.accept_bounded,
        gpu_model=want.gpu_model,
        session_id=session_id,
    )


def _waited(deps: Deps, desk: Desk, session: SessionView, wait_s: int) -> SessionView:
    """The session once its shell answers, or when the time is over; a queued one is not waited for."""
    end_s = time.monotonic() + wait_s
    with desk.waiting() as may:
        while may and session.state == "starting" and time.monotonic() < end_s:
            time.sleep(LOOK_S)
            session = read(deps, session.id)
    return session

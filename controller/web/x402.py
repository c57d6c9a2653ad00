"""For agents: discovery, access, and a shell in one call. A payment, a signed text or a token, no cookies."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app, request

from controller.domain.profiles import Profile
from controller.errors import (
    BadInput,
    BadSshKey,
    ChainUnavailable,
    HomeNotReady,
    HomePutAway,
    MalformedPayment,
    NotEnoughCredit,
    NotYours,
    PaymentNeeded,
    PaymentsHeld,
    PaymentUsed,
    PriceUnavailable,
    ProfileTooLarge,
    RailNotOffered,
    SessionAlreadyLive,
    SettlementPaused,
    SignatureNeeded,
    SignInNeeded,
    SignInRefused,
    UnknownGpuModel,
    UnknownProfile,
)
from controller.services.sessions import tokens as session_tokens
from controller.services.sessions.tokens import Bearer
from controller.services.x402 import access as x402_access
from controller.services.x402 import given as x402_given
from controller.services.x402 import session as x402_session
from controller.services.x402 import sign_in as x402_sign_in
from controller.services.x402 import terms as x402_terms
from controller.services.x402.desk import Desk
from controller.services.x402.given import Given
from controller.services.x402.session import Wanted
from controller.web import bodies
from controller.web import x402_shapes as shapes
from controller.web import x402_wire as wire
from controller.web.answers import answer
from controller.web.bodies import AgentWish, asked
from controller.web.context import EXTENSION, caller, deps
from controller.web.guarding import limited
from controller.web.operations import Reply, operation

ACCESS, SESSION = "/api/x402/access", "/api/x402/session"
WAIT_S = 20
PER_MINUTE = 6_000  # what costs more than a look at the database is limited by payer
BY_PAYMENT = ("payment", "payment_v1", "sign_in_with_x")
UNPAYABLE = (RailNotOffered, ChainUnavailable)
REFUSALS = (
    *UNPAYABLE,
    BadInput,
    MalformedPayment,
    PaymentUsed,
    PaymentsHeld,
    PriceUnavailable,
    SettlementPaused,
    SignInRefused,
)
LATER = Reply(Given, "Queued, settling or confirming: the money is booked as credit.", shapes.RECEIPT)
blueprint = Blueprint("x402", __name__)


@blueprint.get("/.well-known/x402")
@limited("x402-look", PER_MINUTE)
@operation("Where agents pay, how much, and for what", shapes.Discovery, *UNPAYABLE, public=True)
def discover() -> Response:
    terms = x402_terms.terms(deps(), SESSION)
    return answer(x402_access.described(deps(), terms, wire.v1_accepts(terms), wire.v2_accepts(terms)))


@blueprint.get(ACCESS)
@limited("x402", PER_MINUTE)
@operation(
    "Top up by a payment, or see what a wallet that signed for it has",
    x402_access.AccessView,
    *REFUSALS,
    query=bodies.TermsVersion,
    headers=bodies.AgentHeaders,
    ways=BY_PAYMENT,
    answer_headers=shapes.RECEIPT,
    replies={
        202: Reply(x402_access.AccessView, "The payment is not credited yet.", shapes.RECEIPT),
        402: shapes.TERMS,
    },
)
def access() -> Response:
    terms, payload = x402_terms.terms(deps(), ACCESS), wire.payment_of_request()
    key = wire.idempotency_key(payload)
    if payload is None:
        return answer(x402_access.for_balance(deps(), _signed_in(ACCESS)))
    found = x402_access.for_payment(deps(), _desk(), terms, payload, key=key, caller=caller())
    response = answer(found, 200 if found.access else 202)
    wire.add_receipt(response, payload, found.payment, terms)
    return response


@blueprint.post(SESSION)
@limited("x402", PER_MINUTE)
@operation(
    "Pay and have a shell in one call; or claim one with what a wallet has, or has paid before",
    Given,
    *REFUSALS,
    UnknownProfile,
    UnknownGpuModel,
    BadSshKey,
    SignInNeeded,
    SignatureNeeded,
    NotYours,
    ProfileTooLarge,
    SessionAlreadyLive,
    HomeNotReady,
    HomePutAway,
    takes=AgentWish,
    query=bodies.TermsVersion,
    headers=bodies.AgentHeaders,
    ways=(*BY_PAYMENT, "session_token"),
    answer_headers=shapes.RECEIPT,
    replies={202: LATER, 402: shapes.TERMS},
)
def open_session() -> Response:
    payload, wish = wire.payment_of_request(), _wish()
    profile = _profile(wish)
    terms, key = x402_terms.terms(deps(), SESSION, profile), wire.idempotency_key(payload)
    if payload is None and request.headers.get("Authorization"):
        return _given(x402_session.for_token(deps(), _desk(), _bearer(), _wanted(wish, profile)))
    if payload is None:
        # A wrong key is told before anybody pays.
        want, wallet = _wanted(wish, profile) if wish.ssh_key else None, _signed_in(SESSION)
        return _given(x402_session.for_balance(deps(), _desk(), wallet, want or _wanted(wish, profile)))
    want = _wanted(wish, profile)
    given = x402_session.for_payment(deps(), _desk(), terms, payload, want, key=key, caller=caller())
    response = _given(given)
    wire.add_receipt(response, payload, given.payment, terms)
    return response


@blueprint.get(SESSION)
@limited("x402-look", PER_MINUTE)
@operation(
    "The session of a session token",
    Given,
    SignInNeeded,
    ways=("session_token",),
    replies={202: Reply(Given, "It does not run: it waits, has ended, or is not claimed yet.")},
)
def show_session() -> Response:
    return _given(x402_given.show(deps(), _bearer()))


@blueprint.post(f"{SESSION}/end")
@limited("x402-look", PER_MINUTE)
@operation(
    "End the session of a session token; again changes nothing",
    Given,
    SignInNeeded,
    NotYours,
    ways=("session_token",),
)
def end_session() -> Response:
    return answer(x402_given.end(deps(), _bearer()))


@blueprint.errorhandler(PaymentNeeded)
@blueprint.errorhandler(NotEnoughCredit)
def ask_for_payment(error: PaymentNeeded | NotEnoughCredit) -> Response:
    """Whatever lacks money is answered with the terms."""
    profile = _profile(_wish()) if request.path == SESSION else None
    terms = x402_terms.terms(deps(), request.path, profile)
    needed = error if isinstance(error, PaymentNeeded) else PaymentNeeded(error.message, **error.detail)
    return wire.required(terms, needed, x402_sign_in.challenge(deps(), _web_key(), terms))


def _desk() -> Desk:
    return cast(Desk, current_app.extensions[EXTENSION]["desk"])


def _web_key() -> bytes:
    return cast(bytes, current_app.extensions[EXTENSION]["web_key"])


def _wish() -> AgentWish:
    """What the body asks for; whoever looks for the terms sends none."""
    told = request.get_json(silent=True) if request.is_json else None
    return asked(AgentWish) if told else AgentWish()


def _profile(wish: AgentWish) -> Profile:
    return x402_terms.profile_of("small" if wish.profile is None else wish.profile)


def _wanted(wish: AgentWish, profile: Profile) -> Wanted:
    if wish.profile is None or wish.ssh_key is None:
        raise BadInput("Send a JSON object with `profile` and `ssh_key`.")
    wait_s = WAIT_S if wish.wait_s is None else wish.wait_s
    return x402_session.wanted(
        profile,
        wish.ssh_key,
        accept_bounded=wish.accept_bounded,
        wait_s=wait_s,
        gpu_model=wish.gpu_model,
    )


def _signed_in(path: str) -> str:
    """The wallet that signed our text; raises PaymentNeeded where none came along."""
    header = request.headers.get("SIGN-IN-WITH-X")
    if header is None:
        raise PaymentNeeded
    return x402_sign_in.signed_in(deps(), _web_key(), header, x402_terms.terms(deps(), path))


def _bearer() -> Bearer:
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    return session_tokens.bearer(deps(), text if kind.lower() == "bearer" else "")


def _given(given: Given) -> Response:
    response = answer(given, 200 if given.opened else 202)
    if not given.opened:
        response.headers["Retry-After"] = "5"
    return response

"""For agents: discovery, access, and a shell in one call. A payment, a signed text or a token, no cookies."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, Response, current_app, request

from controller.domain.profiles import Profile
from controller.errors import NotEnoughCredit, PaymentNeeded
from controller.services import (
    session_tokens,
    x402_access,
    x402_given,
    x402_session,
    x402_sign_in,
    x402_terms,
)
from controller.services.public_keys import MAX_KEY_CHARS
from controller.services.session_tokens import Bearer
from controller.services.x402_desk import Desk
from controller.services.x402_given import Given
from controller.services.x402_session import Wanted
from controller.web import x402_wire as wire
from controller.web.answers import answer
from controller.web.context import (
    EXTENSION,
    caller,
    deps,
    flag_field,
    optional_number,
    optional_text,
    text_field,
)
from controller.web.guarding import limited

ACCESS, SESSION = "/api/x402/access", "/api/x402/session"
WAIT_S = 20
PER_MINUTE = 6_000  # what costs more than a look at the database is limited by payer
blueprint = Blueprint("x402", __name__)


@blueprint.get("/.well-known/x402")
@limited("x402-look", PER_MINUTE)
def discover() -> Response:
    terms = x402_terms.terms(deps(), SESSION)
    return answer(x402_access.described(deps(), terms, wire.v1_accepts(terms), wire.v2_accepts(terms)))


@blueprint.get(ACCESS)
@limited("x402", PER_MINUTE)
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
def open_session() -> Response:
    payload, profile = wire.payment_of_request(), _profile()
    terms, key = x402_terms.terms(deps(), SESSION, profile), wire.idempotency_key(payload)
    if payload is None and request.headers.get("Authorization"):
        return _given(x402_session.for_token(deps(), _desk(), _bearer(), _wanted(profile)))
    if payload is None:
        want, wallet = _wanted_if_told(profile), _signed_in(SESSION)
        return _given(x402_session.for_balance(deps(), _desk(), wallet, want or _wanted(profile)))
    given = x402_session.for_payment(
        deps(), _desk(), terms, payload, _wanted(profile), key=key, caller=caller()
    )
    response = _given(given)
    wire.add_receipt(response, payload, given.payment, terms)
    return response


@blueprint.get(SESSION)
@limited("x402-look", PER_MINUTE)
def show_session() -> Response:
    return _given(x402_given.show(deps(), _bearer()))


@blueprint.post(f"{SESSION}/end")
@limited("x402-look", PER_MINUTE)
def end_session() -> Response:
    return answer(x402_given.end(deps(), _bearer()))


@blueprint.errorhandler(PaymentNeeded)
@blueprint.errorhandler(NotEnoughCredit)
def ask_for_payment(error: PaymentNeeded | NotEnoughCredit) -> Response:
    """Whatever lacks money is answered with the terms."""
    profile = _profile() if request.path == SESSION else None
    terms = x402_terms.terms(deps(), request.path, profile)
    needed = error if isinstance(error, PaymentNeeded) else PaymentNeeded(error.message, **error.detail)
    return wire.required(terms, needed, x402_sign_in.challenge(deps(), _web_key(), terms))


def _desk() -> Desk:
    return cast(Desk, current_app.extensions[EXTENSION]["desk"])


def _web_key() -> bytes:
    return cast(bytes, current_app.extensions[EXTENSION]["web_key"])


def _body() -> Any:
    return request.get_json(silent=True) if request.is_json else None


def _profile() -> Profile:
    """The profile of the body, the smallest where there is no body: whoever looks for terms sends none."""
    return x402_terms.profile_of(text_field("profile", limit=40) if _body() else "small")


def _wanted(profile: Profile) -> Wanted:
    wait_s = optional_number("wait_s")
    return x402_session.wanted(
        profile,
        text_field("ssh_key", limit=MAX_KEY_CHARS),
        accept_bounded=flag_field("accept_bounded"),
        wait_s=WAIT_S if wait_s is None else wait_s,
    )


def _wanted_if_told(profile: Profile) -> Wanted | None:
    """A wrong key is told before anybody pays."""
    return _wanted(profile) if _body() and optional_text("ssh_key", limit=MAX_KEY_CHARS) else None


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

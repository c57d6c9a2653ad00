"""Configuration, sign-in and the visitor's own account."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response

from controller.errors import ChainUnavailable, SignInRefused
from controller.services import site
from controller.services.site import SiteConfig
from controller.services.wallets import account
from controller.services.wallets import sign_in as wallets
from controller.web import bodies, shapes
from controller.web.answers import answer
from controller.web.bodies import asked
from controller.web.context import (
    browser_hash,
    cookie,
    deps,
    session_token,
    visitor,
)
from controller.web.guarding import limited
from controller.web.operations import operation

blueprint = Blueprint("account", __name__, url_prefix="/api/v1")


@blueprint.get("/config")
@operation("What a client needs to know before it signs in", SiteConfig, public=True)
def config() -> Response:
    return answer(site.site_config(deps()))


@blueprint.post("/sign-in/start")
@limited("sign-in-start", 20)
@operation(
    "The text that a wallet signs to sign in", wallets.SignInStart, takes=bodies.SignInAddress, public=True
)
def start_sign_in() -> Response:
    browser = secrets.token_urlsafe(24)
    address = asked(bodies.SignInAddress).address
    started = wallets.start_sign_in(deps(), address, wallets.hash_secret(browser))
    response = answer(started)
    _set_cookie(response, "browser", browser, 600)
    return response


@blueprint.post("/sign-in")
@limited("sign-in", 20)
@operation(
    "Sign in with the signed text; the session comes as a cookie",
    shapes.SignedInBrowser,
    SignInRefused,
    ChainUnavailable,
    takes=bodies.SignIn,
    public=True,
)
def sign_in() -> Response:
    signed = asked(bodies.SignIn)
    opened = wallets.sign_in(deps(), signed.message, signed.signature, browser_hash(), session_token())
    response = answer(shapes.SignedInBrowser(opened.wallet, opened.csrf_token, opened.expires_at_ms))
    _set_cookie(response, "session", opened.token, wallets.SESSION_LIFE_MS // 1000)
    response.delete_cookie(cookie("browser"), secure=_secure())
    return response


@blueprint.post("/sign-out")
@operation("End this sign-in, or all of the wallet's", shapes.SignedOut, takes=bodies.SignOut)
def sign_out() -> Response:
    wallets.sign_out(deps(), session_token(), everywhere=asked(bodies.SignOut).everywhere)
    response = answer(shapes.SignedOut(signed_out=True))
    response.delete_cookie(cookie("session"), secure=_secure())
    return response


@blueprint.get("/me")
@operation("The wallet that asks, and its balance", account.Me, scope="account:read")
def me() -> Response:
    return answer(account.me(deps(), visitor()))


def _secure() -> bool:
    return deps().settings.web.origin.startswith("https:")


def _set_cookie(response: Response, name: str, value: str, life_s: int) -> None:
    response.set_cookie(
        cookie(name), value, max_age=life_s, path="/", secure=_secure(), httponly=True, samesite="Lax"
    )

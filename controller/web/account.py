"""Configuration, sign-in and the visitor's own account."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response

from controller.services import account, site, wallets
from controller.web.answers import answer
from controller.web.context import (
    body,
    browser_hash,
    cookie,
    deps,
    flag_field,
    session_token,
    text_field,
    visitor,
)
from controller.web.guarding import limited

blueprint = Blueprint("account", __name__, url_prefix="/api/v1")


@blueprint.get("/config")
def config() -> Response:
    return answer(site.site_config(deps()))


@blueprint.post("/sign-in/start")
@limited("sign-in-start", 20)
def start_sign_in() -> Response:
    browser = secrets.token_urlsafe(24)
    started = wallets.start_sign_in(deps(), text_field("address"), wallets.hash_secret(browser))
    response = answer(started)
    _set_cookie(response, "browser", browser, 600)
    return response


@blueprint.post("/sign-in")
@limited("sign-in", 20)
def sign_in() -> Response:
    message, signature = str(body().get("message", "")), str(body().get("signature", ""))
    opened = wallets.sign_in(deps(), message, signature, browser_hash(), session_token())
    response = answer(
        {"wallet": opened.wallet, "csrf_token": opened.csrf_token, "expires_at_ms": opened.expires_at_ms}
    )
    _set_cookie(response, "session", opened.token, wallets.SESSION_LIFE_MS // 1000)
    response.delete_cookie(cookie("browser"), secure=_secure())
    return response


@blueprint.post("/sign-out")
def sign_out() -> Response:
    wallets.sign_out(deps(), session_token(), everywhere=flag_field("everywhere"))
    response = answer({"signed_out": True})
    response.delete_cookie(cookie("session"), secure=_secure())
    return response


@blueprint.get("/me")
def me() -> Response:
    return answer(account.me(deps(), visitor()))


def _secure() -> bool:
    return deps().settings.web.origin.startswith("https:")


def _set_cookie(response: Response, name: str, value: str, life_s: int) -> None:
    response.set_cookie(
        cookie(name), value, max_age=life_s, path="/", secure=_secure(), httponly=True, samesite="Lax"
    )

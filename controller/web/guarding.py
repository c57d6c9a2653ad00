"""What every request passes before its view: the site's own host name, Origin, CSRF token, rate limits.

A state change is refused unless it shows all of them; a view has to be named here to ask for less.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import redirect, request
from werkzeug.wrappers import Response

from controller.errors import ForbiddenOrigin
from controller.services import wallets
from controller.settings import LOOPBACK
from controller.web.context import body, caller, deps, visitor, wallet_or_none

P = ParamSpec("P")
R = TypeVar("R")

SAFE = ("GET", "HEAD", "OPTIONS")
# Asked by machines of the platform, which know no origin: a bearer token, or nothing worth guarding.
MACHINES = {"internal.guard_report", "internal.show_metrics", "files.healthz"}
# Before or without a sign-in there is no token; these rest on Origin (and the pre-login cookie).
WITHOUT_TOKEN = {"account.start_sign_in", "account.sign_in", "local.rpc", "local.faucet"}
# Agents come without cookies: a payment, a signed text or a session token says who asks.
AGENTS = {"x402.access", "x402.open_session", "x402.show_session", "x402.end_session", "x402.discover"}
# sendBeacon cannot set headers.
TOKEN_IN_BODY = {"api_sessions.close"}


def check_host() -> Response | None:
    """One origin: other names of loopback are sent there, everything else is refused."""
    origin = deps().settings.web.origin
    if request.endpoint in MACHINES or request.host == urlsplit(origin).netloc:
        return None
    names = {urlsplit(f"//{request.host}").hostname, urlsplit(origin).hostname}
    if request.method in SAFE and names <= set(LOOPBACK):
        return redirect(origin + request.full_path.rstrip("?"))
    raise ForbiddenOrigin(f"This site is reached at {origin} only.", reason="host")


def check_state_change() -> None:
    """Origin on every state change, and the session's CSRF token wherever there is a session.

    Raises:
        ForbiddenOrigin: another origin, or a missing or wrong token.
        SignInNeeded: a token is needed, and nobody is signed in.
    """
    if request.method in SAFE or request.endpoint is None or request.endpoint in MACHINES | AGENTS:
        return
    if request.headers.get("Origin") != deps().settings.web.origin:
        raise ForbiddenOrigin(reason="origin")
    if request.endpoint in WITHOUT_TOKEN:
        return
    in_body = request.endpoint in TOKEN_IN_BODY and "X-CSRF-Token" not in request.headers
    token = body().get("csrf_token", "") if in_body else request.headers.get("X-CSRF-Token", "")
    if not hmac.compare_digest(str(token).encode(), visitor().csrf_token.encode()):
        raise ForbiddenOrigin("The page is out of date. Reload it.", reason="csrf")


def limited(scope: str, limit: int, window_s: int = 60) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Count requests of a view by address, and by wallet where somebody is signed in."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            for subject in filter(None, (caller(), wallet_or_none())):
                wallets.rate_limit(deps(), scope, subject, limit, window_s)
            return view(*args, **kwargs)

        return counted

    return decorate

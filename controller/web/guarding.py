"""What every request passes before its view: the site's own host name, Origin, CSRF token, rate limits.

A state change is refused unless it shows all of them; a view has to be named here to ask for less.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import g, redirect, request
from werkzeug.wrappers import Response

from controller.errors import ForbiddenOrigin, NotYours, ScopeNeeded, TokenRefused
from controller.services.wallets import api_tokens
from controller.services.wallets import sign_in as wallets
from controller.services.wallets.sign_in import Visitor
from controller.settings import LOOPBACK
from controller.web.context import api_token, body, caller, deps, visitor, wallet_or_none
from controller.web.operations import operation_of

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


def check_path() -> None:
    """No name of anything has the character that PostgreSQL keeps in no text; raises NotYours."""
    if any("\x00" in str(value) for value in (request.view_args or {}).values()):
        raise NotYours


def check_api_token() -> None:
    """An API token says who asks, instead of cookies, and reaches only what its scopes name.

    On a route that is open to everybody a token without its scope is somebody unknown.

    Raises:
        TokenRefused: unknown, taken back or run out.
        ScopeNeeded: this token may not do that, or no token may.
    """
    token = api_token()
    if token is None or request.endpoint in MACHINES or request.endpoint is None:
        return
    declared = operation_of(request.endpoint)
    holder = _holder(token)
    if declared is None or (declared.scope is None and not declared.public):
        raise ScopeNeeded("No API token can do that. Sign in on the site.", scope=None)
    allowed = declared.scope in holder.scopes
    if not allowed and not declared.public:
        raise ScopeNeeded(scope=declared.scope)
    g.visitor = Visitor(holder.wallet, "", holder.expires_at_ms) if allowed else None


def _holder(token: str) -> api_tokens.Holder:
    """Whose token it is; guesses are counted by address."""
    try:
        return api_tokens.holder(deps(), token)
    except TokenRefused:
        wallets.rate_limit(deps(), "token-refused", caller(), 120, 60)
        raise


def check_state_change() -> None:
    """Origin on every state change, and the session's CSRF token wherever there is a session.

    A request that an API token speaks for needs neither, since no browser adds that token by itself; an
    Origin that is sent all the same must be this site's.

    Raises:
        ForbiddenOrigin: another origin, or a missing or wrong token.
        SignInNeeded: a token is needed, and nobody is signed in.
    """
    if request.method in SAFE or request.endpoint is None or request.endpoint in MACHINES | AGENTS:
        return
    own, by_token = deps().settings.web.origin, api_token() is not None
    if request.headers.get("Origin", own if by_token else "") != own:
        raise ForbiddenOrigin(reason="origin")
    if by_token or request.endpoint in WITHOUT_TOKEN:
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

"""What a view needs of its request: the ports, the visitor, the JSON body, the caller's address as a key."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, cast

from flask import current_app, g, request

from controller.errors import BadInput, SignInNeeded
from controller.services.deps import Deps
from controller.services.pricing.rate_board import RateBoard
from controller.services.wallets import sign_in as wallets
from controller.services.wallets.sign_in import Visitor

EXTENSION = "axonos"


def deps() -> Deps:
    """The ports this application was made with."""
    return cast(Deps, current_app.extensions[EXTENSION]["deps"])


def rate_board() -> RateBoard:
    """Today's prices, read once for all visitors of this process."""
    return cast(RateBoard, current_app.extensions[EXTENSION]["rate_board"])


def cookie(name: str) -> str:
    """A cookie's full name: `__Host-` binds it to this host and to TLS wherever the site has TLS."""
    prefix = "__Host-" if deps().settings.web.origin.startswith("https:") else ""
    return f"{prefix}axonos_{name}"


def session_token() -> str | None:
    return request.cookies.get(cookie("session"))


def browser_hash() -> str:
    """What a sign-in is bound to: the hash of the pre-login cookie, empty without one."""
    value = request.cookies.get(cookie("browser"), "")
    return wallets.hash_secret(value) if value else ""


def api_token() -> str | None:
    """The request's API token; only `/api/v1/` takes one, and only from this header."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" and request.path.startswith("/api/v1/") else None


def visitor_or_none() -> Visitor | None:
    """Who asks, looked up once per request; `guarding` has put it there already where a token speaks."""
    if "visitor" not in g:
        g.visitor = wallets.who(deps(), session_token())
    return cast("Visitor | None", g.visitor)


def visitor() -> Visitor:
    """Who asks.

    Raises:
        SignInNeeded: nobody is signed in.
    """
    found = visitor_or_none()
    if found is None:
        raise SignInNeeded
    return found


def wallet() -> str:
    """The signed-in wallet; raises SignInNeeded."""
    return visitor().wallet


def wallet_or_none() -> str | None:
    found = visitor_or_none()
    return found.wallet if found else None


def body() -> dict[str, Any]:
    """The request's JSON object; nothing else is taken.

    Raises:
        BadInput: another content type, broken JSON, or no object.
    """
    value = request.get_json(silent=True) if request.is_json else None
    if not isinstance(value, dict):
        raise BadInput("Send a JSON object with content type application/json.")
    return value


def text_field(name: str, *, limit: int = 256) -> str:
    """A required text of the JSON body; raises BadInput."""
    value = body().get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise BadInput(f"`{name}` must be a text of 1 to {limit} characters.", field=name)
    return value


def optional_text(name: str, *, limit: int = 256) -> str | None:
    """A text of the JSON body that may be missing; raises BadInput."""
    return text_field(name, limit=limit) if body().get(name) is not None else None


def optional_number(name: str) -> int | None:
    """A whole number of the JSON body that may be missing; raises BadInput."""
    value = body().get(name)
    if value is not None and (type(value) is not int or not 0 <= value < 10**15):
        raise BadInput(f"`{name}` must be a whole number.", field=name)
    return value


def flag_field(name: str) -> bool:
    """An optional yes or no of the JSON body, no by default; raises BadInput."""
    value = body().get(name, False)
    if not isinstance(value, bool):
        raise BadInput(f"`{name}` must be true or false.", field=name)
    return value


def number_arg(name: str) -> int | None:
    """An optional number of the query; raises BadInput."""
    value = request.args.get(name, "")
    if value and not (value.isdecimal() and value.isascii() and len(value) <= 18):
        raise BadInput(f"`{name}` must be a number.", field=name)
    return int(value) if value else None


def caller() -> str:
    """The caller's address as a keyed hash: enough to count requests, no address in the database."""
    key: bytes = current_app.extensions[EXTENSION]["web_key"]
    return hmac.new(key, (request.remote_addr or "?").encode(), hashlib.sha256).hexdigest()[:32]

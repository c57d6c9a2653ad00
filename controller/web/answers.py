"""How answers look: views of services as JSON, one error shape, and the headers every answer carries."""

from __future__ import annotations

import logging
from dataclasses import asdict, is_dataclass
from typing import Any

from flask import Response, g, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from controller.errors import AxonosError
from controller.web.context import deps

log = logging.getLogger(__name__)
# Amounts of tokens are texts: JSON readers round integers above 2^53.
TOKEN_AMOUNTS = {"minimum", "amount", "faucet_wei"}
MESSAGES = {
    404: "There is nothing at this address.",
    405: "This address does not take that kind of request.",
    413: "The request is too large.",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(),"
    " clipboard-read=(self), clipboard-write=(self), fullscreen=(self)",
}


def plain(value: Any) -> Any:
    """A service's view as JSON values; token amounts become texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {
            k: str(v) if k in TOKEN_AMOUNTS and isinstance(v, int) else plain(v) for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return make_response(jsonify(plain(value)), status)


def on_axonos_error(error: AxonosError) -> Response:
    """The one place where the error tree becomes an answer."""
    return _refuse(error.status, error.code, error.message, retry=error.retry, detail=error.detail)


def on_http_error(error: HTTPException) -> Response:
    """Unknown paths, wrong methods, bodies over the limit."""
    status, name = error.code or 500, error.name or "error"
    message = MESSAGES.get(status, error.description or name)
    return _refuse(status, name.lower().replace(" ", "_"), message, retry=False, detail={})


def on_crash(error: Exception) -> Response:
    """A fault of ours: logged whole, told without any of its words, which may name nodes or files."""
    log.error("unexpected error in %s %s", request.method, request.path, exc_info=error)
    fault = AxonosError()
    return _refuse(500, fault.code, fault.message, retry=False, detail={})


def _refuse(status: int, code: str, message: str, *, retry: bool, detail: dict[str, Any]) -> Response:
    page = not request.path.startswith(("/api/", "/local/", "/internal/", "/healthz"))
    if page and "text/html" in request.headers.get("Accept", ""):
        return make_response(render_template("error.html", status=status, message=message), status)
    error = {**plain(detail), "code": code, "message": message, "retry": retry}
    response = make_response(jsonify({"error": error}), status)
    if "retry_after_s" in detail:
        response.headers["Retry-After"] = str(detail["retry_after_s"])
    return response


def add_headers(response: Response) -> Response:
    """Strict content policy without inline script or style; nothing of a wallet is cached."""
    origin = deps().settings.web.origin
    response.headers.update(HEADERS)
    response.headers["Content-Security-Policy"] = "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            " ".join(["connect-src 'self'", *g.get("stream_origins", [])]),
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )
    if origin.startswith("https:"):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if not request.path.startswith(("/static/", "/vendor/")):
        response.headers["Cache-Control"] = "no-store"
    return response

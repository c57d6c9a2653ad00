"""Puts the site together: guards, routes, errors and headers on one Flask application."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from controller.errors import AxonosError
from controller.services.deps import Deps
from controller.services.local_chain import LocalNode
from controller.services.pricing.rate_board import RateBoard
from controller.services.x402.desk import Desk
from controller.web import (
    account,
    answers,
    api_home,
    api_money,
    api_sessions,
    api_ssh_keys,
    api_statement,
    api_tokens,
    files,
    guarding,
    internal,
    local,
    openapi,
    pages,
    x402,
)
from controller.web.context import EXTENSION

MAX_BODY_BYTES = 65_536


def register(app: Flask, deps: Deps, node: LocalNode | None) -> None:
    """Give a bare application everything; `node` exists in local mode only.

    Reads the secret files here, so that an unreadable one stops the start and not a request.
    """
    settings = deps.settings
    extension: dict[str, Any] = {
        "deps": deps,
        "rate_board": RateBoard(deps),
        "desk": Desk(deps),
        "web_key": settings.secrets.web_key.read_bytes(),
        "guard_token": settings.secrets.guard_token.read_text().strip(),
    }
    app.extensions[EXTENSION] = extension
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES)
    if settings.web.proxy_hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.web.proxy_hops, x_proto=0)  # type: ignore[method-assign]
    app.before_request(guarding.check_host)
    app.before_request(guarding.check_path)
    app.before_request(guarding.check_api_token)
    app.before_request(guarding.check_state_change)
    app.after_request(answers.add_headers)
    app.register_error_handler(AxonosError, answers.on_axonos_error)
    app.register_error_handler(HTTPException, answers.on_http_error)
    app.register_error_handler(Exception, answers.on_crash)
    for module in (
        pages,
        account,
        api_home,
        api_money,
        api_sessions,
        api_ssh_keys,
        api_statement,
        api_tokens,
        openapi,
        internal,
        x402,
    ):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(files.make_blueprint(settings.novnc_dir))
    if settings.local is not None and node is not None:
        app.register_blueprint(local.make_blueprint(node, settings.local.ethers_js))

"""What machines ask: guards' reports, and figures for monitoring. A bearer token, no cookies, no origin."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, current_app, request

from controller.errors import SignInNeeded
from controller.services import metrics
from controller.services.reports import guard_reports
from controller.web.answers import answer
from controller.web.context import EXTENSION, body, deps

MAX_BYTES = 1_048_576
blueprint = Blueprint("internal", __name__, url_prefix="/internal")


def _check_token() -> None:
    token: str = current_app.extensions[EXTENSION]["guard_token"]
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise SignInNeeded("The guard's token is missing or wrong.")


@blueprint.get("/metrics")
def show_metrics() -> Response:
    _check_token()
    return Response(metrics.text(deps()), content_type="text/plain; version=0.0.4; charset=utf-8")


@blueprint.post("/guard/report")
def guard_report() -> Response:
    _check_token()
    request.max_content_length = MAX_BYTES
    return answer(guard_reports.report(deps(), body()))

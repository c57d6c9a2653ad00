"""Files that scripts load from npm packages, and the health answer for supervisors."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

from controller.services import site
from controller.web.answers import answer
from controller.web.context import deps, rate_board


def make_blueprint(novnc_dir: Path) -> Blueprint:
    """Routes for noVNC's modules and for health."""
    blueprint = Blueprint("files", __name__)

    @blueprint.get("/vendor/novnc/<path:name>")
    def novnc(name: str) -> Response:
        return send_from_directory(novnc_dir, name, max_age=3_600)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        found = site.health(deps(), rate_board())
        return answer(found, 200 if found.ok else 503)

    return blueprint

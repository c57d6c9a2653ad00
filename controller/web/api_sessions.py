"""Profiles and sessions: claim, watch, leave running, return, end."""

from __future__ import annotations

from flask import Blueprint, Response, request

from controller.domain.tabs import MAX_TAB, is_tab
from controller.errors import BadInput
from controller.services import sessions
from controller.services.public_keys import MAX_KEY_CHARS
from controller.web.answers import answer
from controller.web.context import (
    deps,
    flag_field,
    optional_number,
    optional_text,
    text_field,
    wallet,
    wallet_or_none,
)
from controller.web.guarding import limited

blueprint = Blueprint("api_sessions", __name__, url_prefix="/api/v1")


def tab() -> sessions.Tab:
    """Which tab asks; a body without it is a program's. Raises BadInput."""
    name = optional_text("tab", limit=MAX_TAB) or ""
    if name and not is_tab(name):
        raise BadInput("`tab` must be letters, digits and hyphens.", field="tab")
    return sessions.Tab(name, looks=flag_field("view_only"), takes=flag_field("take"))


@blueprint.get("/profiles")
def profiles() -> Response:
    return answer({"profiles": sessions.profiles(deps(), wallet_or_none())})


@blueprint.post("/sessions")
@limited("claim", 30)
def claim() -> Response:
    view = sessions.claim(
        deps(),
        wallet(),
        text_field("profile"),
        fresh_start=flag_field("fresh_start"),
        kind=optional_text("kind") or "desktop",
        ssh_key=optional_text("ssh_key", limit=MAX_KEY_CHARS),
        accept_bounded=flag_field("accept_bounded"),
        accept_until_ms=optional_number("accept_until_ms"),
    )
    return answer(view, 201)


@blueprint.get("/queue")
@limited("queue", 120)
def queue() -> Response:
    return answer(sessions.drawn(deps(), wallet()))


@blueprint.get("/queue/outlook")
@limited("outlook", 60)
def outlook() -> Response:
    return answer(sessions.outlook(deps(), wallet(), request.args.get("profile", "")))


@blueprint.post("/sessions/<session_id>/accept")
@limited("claim", 30)
def accept(session_id: str) -> Response:
    until_ms = optional_number("accept_until_ms")
    return answer(sessions.accept(deps(), wallet(), session_id, until_ms))


@blueprint.get("/sessions/current")
def current() -> Response:
    live = sessions.current(deps(), wallet())
    return answer({"session": live, "saved": None if live else sessions.saved(deps(), wallet())})


@blueprint.post("/sessions/<session_id>/heartbeat")
def heartbeat(session_id: str) -> Response:
    return answer(sessions.heartbeat(deps(), wallet(), session_id, tab()))


@blueprint.post("/sessions/<session_id>/detach")
def detach(session_id: str) -> Response:
    return answer(sessions.detach(deps(), wallet(), session_id))


@blueprint.post("/sessions/<session_id>/attach")
def attach(session_id: str) -> Response:
    return answer(sessions.attach(deps(), wallet(), session_id, tab()))


@blueprint.post("/sessions/<session_id>/close")
def close(session_id: str) -> Response:
    return answer(sessions.close(deps(), wallet(), session_id, tab()))


@blueprint.post("/sessions/<session_id>/end")
def end(session_id: str) -> Response:
    return answer(sessions.end(deps(), wallet(), session_id))


@blueprint.post("/sessions/<session_id>/idle")
def idle(session_id: str) -> Response:
    minutes = optional_number("minutes")
    if minutes is None:
        raise BadInput("`minutes` is missing; 0 is for ever.", field="minutes")
    return answer(sessions.choose_idle(deps(), wallet(), session_id, minutes))


@blueprint.post("/sessions/<session_id>/stream")
@limited("stream", 120)
def stream(session_id: str) -> Response:
    return answer(sessions.stream(deps(), wallet(), session_id, tab()))

"""Profiles and sessions: claim, watch, leave running, return, end."""

from __future__ import annotations

from flask import Blueprint, Response, request

from controller.errors import (
    BadSshKey,
    HomeNotReady,
    HomePutAway,
    NotEnoughCredit,
    NotYours,
    ProfileTooLarge,
    SessionAlreadyLive,
    ShownElsewhere,
    SshKeyNeeded,
    UnknownGpuModel,
    UnknownProfile,
    WrongState,
)
from controller.services.queue.outlook import Outlook
from controller.services.queue.picture import QueuePicture
from controller.services.sessions import facade as sessions
from controller.web import bodies, shapes
from controller.web.answers import answer
from controller.web.bodies import asked
from controller.web.context import deps, wallet, wallet_or_none
from controller.web.guarding import limited
from controller.web.operations import operation

blueprint = Blueprint("api_sessions", __name__, url_prefix="/api/v1")


def tab() -> sessions.Tab:
    """Which tab asks; a body without it is a program's. Raises BadInput."""
    said = asked(bodies.TabWords)
    return sessions.Tab(said.tab or "", looks=said.view_only, takes=said.take)


@blueprint.get("/profiles")
@operation(
    "The sizes there are, which start at once, and the GPU models",
    shapes.Profiles,
    query=bodies.ProfilesOf,
    scope="account:read",
    public=True,
)
def profiles() -> Response:
    sizes = sessions.profiles(deps(), wallet_or_none(), request.args.get("gpu_model", ""))
    return answer(shapes.Profiles(sizes, sessions.gpu_models(deps())))


@blueprint.post("/sessions")
@limited("claim", 30)
@operation(
    "Claim a session: it starts at once, or takes a place in the queue",
    sessions.SessionView,
    UnknownProfile,
    UnknownGpuModel,
    ProfileTooLarge,
    NotEnoughCredit,
    SessionAlreadyLive,
    BadSshKey,
    SshKeyNeeded,
    NotYours,
    HomeNotReady,
    HomePutAway,
    status=201,
    takes=bodies.Claim,
    scope="sessions:write",
)
def claim() -> Response:
    want = asked(bodies.Claim)
    view = sessions.claim(
        deps(),
        wallet(),
        want.profile,
        fresh_start=want.fresh_start,
        kind=want.kind or "desktop",
        ssh_key=want.ssh_key,
        accept_bounded=want.accept_bounded,
        accept_until_ms=want.accept_until_ms,
        gpu_model=want.gpu_model,
    )
    return answer(view, 201)


@blueprint.get("/queue")
@limited("queue", 120)
@operation("The GPUs of each host over the next hours", QueuePicture, scope="sessions:read")
def queue() -> Response:
    return answer(sessions.drawn(deps(), wallet()))


@blueprint.get("/queue/outlook")
@limited("outlook", 60)
@operation(
    "What a claim of a profile would be told now",
    Outlook,
    UnknownProfile,
    query=bodies.OutlookOf,
    scope="sessions:read",
)
def outlook() -> Response:
    asked_for = request.args.get("profile", ""), request.args.get("gpu_model", "")
    return answer(sessions.outlook(deps(), wallet(), *asked_for))


@blueprint.post("/sessions/<session_id>/accept")
@limited("claim", 30)
@operation(
    "A waiting claim takes a bounded start",
    sessions.SessionView,
    WrongState,
    takes=bodies.Acceptance,
    scope="sessions:write",
)
def accept(session_id: str) -> Response:
    until_ms = asked(bodies.Acceptance).accept_until_ms
    return answer(sessions.accept(deps(), wallet(), session_id, until_ms))


@blueprint.get("/sessions/current")
@operation("The live session, or what ran last", shapes.Current, scope="sessions:read")
def current() -> Response:
    live = sessions.current(deps(), wallet())
    return answer(shapes.Current(live, None if live else sessions.saved(deps(), wallet())))


@blueprint.post("/sessions/<session_id>/heartbeat")
@operation(
    "Somebody watches; settles the meter up to now",
    sessions.Meter,
    takes=bodies.TabWords,
    scope="sessions:write",
)
def heartbeat(session_id: str) -> Response:
    return answer(sessions.heartbeat(deps(), wallet(), session_id, tab()))


@blueprint.post("/sessions/<session_id>/detach")
@operation("Leave a desktop running, and billed", sessions.SessionView, WrongState, scope="sessions:write")
def detach(session_id: str) -> Response:
    return answer(sessions.detach(deps(), wallet(), session_id))


@blueprint.post("/sessions/<session_id>/attach")
@operation(
    "Return to a desktop",
    sessions.SessionView,
    WrongState,
    ShownElsewhere,
    takes=bodies.TabWords,
    scope="sessions:write",
)
def attach(session_id: str) -> Response:
    return answer(sessions.attach(deps(), wallet(), session_id, tab()))


@blueprint.post("/sessions/<session_id>/close")
@operation(
    "Ends the session unless somebody returns within the window",
    sessions.SessionView,
    WrongState,
    ShownElsewhere,
    takes=bodies.TabWords,
    scope="sessions:write",
)
def close(session_id: str) -> Response:
    return answer(sessions.close(deps(), wallet(), session_id, tab()))


@blueprint.post("/sessions/<session_id>/end")
@operation("End the session, or leave the queue; files stay", sessions.SessionView, scope="sessions:write")
def end(session_id: str) -> Response:
    return answer(sessions.end(deps(), wallet(), session_id))


@blueprint.post("/sessions/<session_id>/idle")
@operation(
    "After how long without use it ends; 0 is never",
    sessions.SessionView,
    WrongState,
    takes=bodies.IdleWish,
    scope="sessions:write",
)
def idle(session_id: str) -> Response:
    minutes = asked(bodies.IdleWish).minutes
    return answer(sessions.choose_idle(deps(), wallet(), session_id, minutes))


@blueprint.post("/idle")
@operation(
    "After how long without use every desktop of the wallet ends; 0 is never",
    shapes.IdleChosen,
    takes=bodies.IdleWish,
    scope="sessions:write",
)
def idle_for_all() -> Response:
    minutes = asked(bodies.IdleWish).minutes
    return answer(shapes.IdleChosen(sessions.choose_idle_for_all(deps(), wallet(), minutes)))


@blueprint.post("/sessions/<session_id>/stream")
@limited("stream", 120)
@operation(
    "Where the desktop's stream is, and a ticket that opens it once",
    sessions.StreamView,
    WrongState,
    ShownElsewhere,
    takes=bodies.TabWords,
    scope="sessions:write",
)
def stream(session_id: str) -> Response:
    return answer(sessions.stream(deps(), wallet(), session_id, tab()))

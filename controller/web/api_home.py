"""The wallet's files as a whole: what they cost, snapshots, put away and brought back, deleted."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.errors import BadInput, HomeNotReady, HomePutAway, NoHome, NotYours, WrongState
from controller.services.homes import actions as home_actions
from controller.services.homes import views as home_views
from controller.services.sessions.views import StreamView
from controller.web import bodies, shapes
from controller.web.answers import answer
from controller.web.bodies import asked
from controller.web.context import deps, wallet
from controller.web.guarding import limited
from controller.web.operations import operation

blueprint = Blueprint("api_home", __name__, url_prefix="/api/v1/home")
GONE = (NoHome, HomePutAway, HomeNotReady)


@blueprint.get("")
@operation(
    "The wallet's home: size, cost, days left, snapshots; null before the first session",
    shapes.HomeShown,
    scope="files:read",
)
def show() -> Response:
    return answer(shapes.HomeShown(home_views.home(deps(), wallet())))


@blueprint.post("/files")
@limited("home-files", 60)
@operation(
    "A single-use ticket for the files, sent to the gateway as a WebSocket subprotocol",
    StreamView,
    *GONE,
    takes=bodies.Nothing,
    scope="files:write",
)
def files() -> Response:
    return answer(home_actions.files(deps(), wallet()))


@blueprint.post("/snapshots")
@limited("home", 20)
@operation(
    "Keep the home as it is now",
    shapes.SnapshotOrdered,
    WrongState,
    *GONE,
    status=202,
    takes=bodies.SnapshotWhy,
    scope="files:write",
)
def snapshot() -> Response:
    name = home_actions.snapshot(deps(), wallet(), asked(bodies.SnapshotWhy).why)
    return answer(shapes.SnapshotOrdered(name), 202)


@blueprint.post("/snapshots/<name>/restore")
@limited("home", 20)
@operation(
    "Make the home what it was in a snapshot",
    shapes.Ordered,
    NotYours,
    WrongState,
    *GONE,
    status=202,
    takes=bodies.Nothing,
    scope="files:write",
)
def restore(name: str) -> Response:
    home_actions.restore(deps(), wallet(), name)
    return answer(shapes.Ordered(ordered=True), 202)


@blueprint.post("/snapshots/<name>/delete")
@limited("home", 20)
@operation(
    "Delete a snapshot",
    shapes.Ordered,
    NotYours,
    WrongState,
    NoHome,
    HomeNotReady,
    status=202,
    takes=bodies.Nothing,
    scope="files:write",
)
def drop(name: str) -> Response:
    home_actions.drop(deps(), wallet(), name)
    return answer(shapes.Ordered(ordered=True), 202)


@blueprint.post("/recover")
@limited("home", 20)
@operation(
    "Bring a home back that was put away",
    shapes.Ordered,
    WrongState,
    NoHome,
    HomeNotReady,
    status=202,
    takes=bodies.Nothing,
    scope="files:write",
)
def recover() -> Response:
    home_actions.recover(deps(), wallet())
    return answer(shapes.Ordered(ordered=True), 202)


@blueprint.post("/delete")
@limited("home", 20)
@operation(
    "Delete the home, its snapshots and replicas, for good",
    shapes.Ordered,
    BadInput,
    WrongState,
    NoHome,
    HomeNotReady,
    status=202,
    takes=bodies.HomeDelete,
)
def delete() -> Response:
    home_actions.delete(deps(), wallet(), asked(bodies.HomeDelete).confirm)
    return answer(shapes.Ordered(ordered=True), 202)

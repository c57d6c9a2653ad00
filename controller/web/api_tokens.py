"""API tokens: made, listed and taken back by a signed-in browser; no token reaches these routes."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.scopes import SCOPES
from controller.errors import TooManyTokens
from controller.services.wallets import api_tokens
from controller.web import bodies, shapes
from controller.web.answers import answer
from controller.web.bodies import asked
from controller.web.context import deps, session_token, wallet
from controller.web.guarding import limited
from controller.web.operations import operation

blueprint = Blueprint("api_tokens", __name__, url_prefix="/api/v1/tokens")


@blueprint.get("")
@operation("The wallet's API tokens, without their text", shapes.Tokens)
def list_tokens() -> Response:
    return answer(shapes.Tokens(api_tokens.list_tokens(deps(), wallet()), SCOPES))


@blueprint.post("")
@limited("tokens", 20)
@operation(
    "Make an API token; its text is said once",
    api_tokens.NewToken,
    TooManyTokens,
    status=201,
    takes=bodies.NewTokenWish,
)
def make_token() -> Response:
    wish = asked(bodies.NewTokenWish)
    return answer(api_tokens.make(deps(), session_token(), wish.name, wish.scopes, wish.days), 201)


@blueprint.post("/<token_id>/revoke")
@limited("tokens", 20)
@operation("Take an API token back", shapes.Revoked)
def revoke_token(token_id: str) -> Response:
    api_tokens.revoke(deps(), wallet(), token_id[:36])
    return answer(shapes.Revoked(revoked=True))

"""The wallet's list of public SSH keys."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.services import ssh_keys
from controller.services.public_keys import MAX_KEY_CHARS
from controller.web.answers import answer
from controller.web.context import deps, optional_text, text_field, wallet
from controller.web.guarding import limited

blueprint = Blueprint("api_ssh_keys", __name__, url_prefix="/api/v1/ssh-keys")


@blueprint.get("")
def list_keys() -> Response:
    return answer({"keys": ssh_keys.list_keys(deps(), wallet())})


@blueprint.post("")
@limited("ssh-keys", 30)
def add_key() -> Response:
    pasted = text_field("public_key", limit=2 * MAX_KEY_CHARS)
    return answer(ssh_keys.add_key(deps(), wallet(), pasted, optional_text("name")), 201)


@blueprint.post("/<key_id>/rename")
def rename_key(key_id: str) -> Response:
    return answer(ssh_keys.rename_key(deps(), wallet(), key_id[:36], text_field("name")))


@blueprint.post("/<key_id>/remove")
def remove_key(key_id: str) -> Response:
    ssh_keys.remove_key(deps(), wallet(), key_id[:36])
    return answer({"removed": True})

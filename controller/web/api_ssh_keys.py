"""The wallet's list of public SSH keys."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.errors import BadSshKey, SshKeyKnown, TooManySshKeys
from controller.services.shells import keys as ssh_keys
from controller.services.shells.keys import SshKeyView
from controller.web import bodies, shapes
from controller.web.answers import answer
from controller.web.bodies import asked
from controller.web.context import deps, wallet
from controller.web.guarding import limited
from controller.web.operations import operation

blueprint = Blueprint("api_ssh_keys", __name__, url_prefix="/api/v1/ssh-keys")


@blueprint.get("")
@operation("The wallet's public SSH keys", shapes.Keys, scope="keys:read")
def list_keys() -> Response:
    return answer(shapes.Keys(ssh_keys.list_keys(deps(), wallet())))


@blueprint.post("")
@limited("ssh-keys", 30)
@operation(
    "Put a public key into the list",
    SshKeyView,
    BadSshKey,
    SshKeyKnown,
    TooManySshKeys,
    status=201,
    takes=bodies.NewKey,
    scope="keys:write",
)
def add_key() -> Response:
    new = asked(bodies.NewKey)
    return answer(ssh_keys.add_key(deps(), wallet(), new.public_key, new.name), 201)


@blueprint.post("/<key_id>/rename")
@limited("ssh-keys-rename", 30)
@operation("Call a key otherwise", SshKeyView, takes=bodies.KeyName, scope="keys:write")
def rename_key(key_id: str) -> Response:
    return answer(ssh_keys.rename_key(deps(), wallet(), key_id[:36], asked(bodies.KeyName).name))


@blueprint.post("/<key_id>/remove")
@limited("ssh-keys-remove", 30)
@operation("Take a key out of the list; running sessions keep theirs", shapes.Removed, scope="keys:write")
def remove_key(key_id: str) -> Response:
    ssh_keys.remove_key(deps(), wallet(), key_id[:36])
    return answer(shapes.Removed(removed=True))

"""`axonos image push|roll`: which image new sessions boot, host by host, and back; those that run keep theirs."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from session_kit import OTHER, WALLET

from controller.cli import image as command
from controller.errors import BadInput, RunFailed, WrongState
from controller.services.hosts import fleet, images
from controller.services.queue import claims

pytestmark = pytest.mark.integration
NEW = f"sha256:{'b' * 64}"


@pytest.fixture
def roll(platform, monkeypatch, tmp_path):
    """`axonos image VERB …` with a new image in its folder; the worker does its part before the command looks."""
    platform.add_host("second", 8)
    (tmp_path / "desktop.json").write_text(json.dumps({"image_id": NEW, "archive": "desktop-b.tar"}))
    (tmp_path / "desktop.sig").write_text("signed\n")
    monkeypatch.setattr(command, "connect", lambda: platform.deps)
    monkeypatch.setattr(command.time, "sleep", lambda _s: platform.work())

    def run(verb, *words):
        arguments = ["--output", str(tmp_path), *words, "--json"]
        done = CliRunner().invoke(command.__dict__[verb], arguments, catch_exceptions=False)
        return {one["host"]: one for one in json.loads(done.stdout)["hosts"]}

    return run


def booted(platform):
    """The image of each live session."""
    rows = platform.rows(
        "SELECT wallet, image_id FROM gpu_session s JOIN slot ON slot.id = s.slot_id WHERE s.state = 'running'"
    )
    return dict(map(tuple, rows))


def test_rolled_out_and_back_while_people_work(platform, roll):
    old = platform.deps.settings.sessions.image_id
    platform.credit(OTHER, 60)
    claims.claim(platform.deps, WALLET, "small")
    platform.work()
    pushed = roll("push")
    assert {one["push"] for one in pushed.values()} == {"succeeded"}
    assert {one["image_id"] for one in pushed.values()} == {old}, "nothing boots it yet"

    rolled = roll("roll")
    assert {(one["image_id"], one["previous_image_id"]) for one in rolled.values()} == {(NEW, old)}
    claims.claim(platform.deps, OTHER, "small")
    platform.work()
    assert booted(platform) == {WALLET: old, OTHER: NEW}, "whoever works keeps the image"

    back = roll("roll", "--back")
    assert {(one["image_id"], one["previous_image_id"]) for one in back.values()} == {(old, NEW)}
    assert booted(platform) == {WALLET: old, OTHER: NEW}
    third = "0x" + "d4" * 20
    platform.credit(third, 60)
    claims.claim(platform.deps, third, "small")
    platform.work()
    assert booted(platform)[third] == old
    assert {one["image_id"] for one in roll("roll", "--back").values()} == {NEW}, "and forth"


def test_a_roll_out_stops_at_the_first_host_that_refuses(platform, roll, monkeypatch):
    old = platform.deps.settings.sessions.image_id
    refusal = {"ok": False, "code": "image_unverified"}
    monkeypatch.setattr(platform.provisioner, "_probe", lambda _request: refusal)
    with pytest.raises(RunFailed, match="local did not take the image: image_unverified"):
        roll("roll")
    assert [(one.host, one.image_id, one.push) for one in images.standings(platform.deps)] == [
        ("local", old, "failed"),
        ("second", old, None),
    ]
    (alert,) = platform.rows("SELECT why FROM operator_alert WHERE kind = :k", k=images.STOPPED)
    assert alert.why == "local: image_unverified"


def test_one_at_a_time_and_only_to_hosts_that_are_there(platform, roll):
    with pytest.raises(WrongState, match="No host boots another image"):
        roll("roll", "--back")
    with pytest.raises(BadInput, match="No host in use is named nowhere"):
        roll("push", "--host", "nowhere")
    assert set(roll("push", "--wait-s", "0", "--host", "second")) == {"second"}
    with pytest.raises(WrongState, match="Another image is on its way"):
        roll("push")
    fleet.drain(platform.deps, "second")
    platform.work()
    assert fleet.standing(platform.deps, "second").state == "draining", (
        "a push takes no drained host into use"
    )

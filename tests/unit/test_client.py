"""The API's client: what it sends, what it makes of refusals, and when it tries again."""

from __future__ import annotations

import json

import httpx
import pytest
from click.testing import CliRunner

from controller.client import ApiError, Axonos, NotReady, Shell, Unreachable, agent, shell
from controller.client.shell import _quoted

SESSION = {
    "id": "s-1", "state": "running", "kind": "ssh", "profile": "small", "gpus": 1, "queue_position": None,
    "queue_reason": "", "why": "", "billed_gpu_ms": 5, "ends_at_ms": 9, "ssh": None, "a_new_field": 1,
}  # fmt: skip
SSH = {
    "host": "h",
    "port": 22,
    "user": "axon",
    "host_key": "ssh-ed25519 AAAA",
    "alias": "axonos-0x",
    "known_hosts": "",
}


class Site:
    """Answers in order, and remembers what was asked."""

    def __init__(self, *answers):
        self.answers, self.asked, self.paused = list(answers), [], []

    def handle(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return (
            httpx.Response(status, json=body) if isinstance(body, dict) else httpx.Response(status, text=body)
        )

    def client(self):
        headers = {"Authorization": "Bearer axonos_id_secret"}
        transport = httpx.MockTransport(self.handle)
        return Axonos("https://gpu.example/", headers, transport=transport, pause=self.paused.append)


def error(code="refused", **more):
    return {"error": {"code": code, "message": "No.", "retry": False, **more}}


def test_a_request_carries_the_token_and_no_more_than_was_said():
    site = Site((201, SESSION))
    claimed = site.client().claim("small", ssh_key="ssh-ed25519 AAAA")
    (asked,) = site.asked
    assert (asked.method, str(asked.url)) == ("POST", "https://gpu.example/api/v1/sessions")
    assert asked.headers["Authorization"] == "Bearer axonos_id_secret"
    assert "Origin" not in asked.headers
    assert json.loads(asked.content) == {"profile": "small", "kind": "ssh", "ssh_key": "ssh-ed25519 AAAA"}
    assert (claimed.id, claimed.ends_at_ms) == ("s-1", 9)


def test_a_refusal_has_the_sites_own_words():
    with pytest.raises(ApiError) as refused:
        Site((402, error("not_enough_credit", needed_gpu_ms=60_000))).client().claim("small")
    assert (refused.value.status, refused.value.code, refused.value.retry) == (
        402,
        "not_enough_credit",
        False,
    )
    assert refused.value.detail["needed_gpu_ms"] == 60_000
    with pytest.raises(ApiError, match="status 502"):
        Site((502, "<html>Bad gateway")).client().me()


def test_reading_and_ending_are_tried_again_a_claim_is_not():
    lost = httpx.ConnectError("gone")
    busy = (429, error("too_many_requests", retry=True, retry_after_s=7))
    site = Site(lost, busy, (200, {**SESSION, "state": "ending"}))
    assert site.client().end("s-1").state == "ending"
    assert site.paused == [1, 7]
    with pytest.raises(Unreachable):
        Site(lost, lost, lost).client().current()
    site = Site(lost)
    with pytest.raises(Unreachable):
        site.client().claim("small")
    assert len(site.asked) == 1
    refused = Site((404, error("not_found")))
    with pytest.raises(ApiError):
        refused.client().end("s-1")
    assert len(refused.asked) == 1


def test_a_shell_is_waited_for_and_ended_whatever_happens():
    waiting = {**SESSION, "state": "queued"}
    up = {"session": {**SESSION, "ssh": SSH}}
    silent = {"session": {**SESSION, "ssh": {**SSH, "host_key": ""}}}
    ended = (200, {**SESSION, "state": "ending"})
    site = Site((201, waiting), (200, {"session": waiting}), (200, silent), (200, up), ended)
    inside = Shell(site.client(), "small")

    def fail_inside():
        with inside:
            assert inside.session.ssh.port == 22
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert str(site.asked[-1].url).endswith("/sessions/s-1/end")
    assert not inside._folder.exists()


def test_a_shell_that_does_not_come_up_is_ended_and_says_why():
    full = {**SESSION, "state": "queued", "queue_reason": "insufficient free GPUs for requested profile"}
    site = Site((201, full), (200, {**full, "state": "ending"}))
    with pytest.raises(NotReady, match="insufficient free GPUs"), Shell(site.client(), "small", patience_s=0):
        pass
    assert str(site.asked[-1].url).endswith("/end")
    over = Site((201, full), (200, {"session": None}), (200, {**full, "state": "ended"}))
    with pytest.raises(NotReady, match="is over"), Shell(over.client(), "small"):
        pass


def test_a_session_of_before_that_is_ending_is_waited_for_and_another_is_left_alone():
    live = (409, error("session_already_live", session_id="s-0"))
    ending = (200, {"session": {**SESSION, "state": "ending"}})
    up = {**SESSION, "ssh": SSH}
    end = (200, {**SESSION, "state": "ending"})
    site = Site(live, ending, (201, up), (200, {"session": up}), end)
    with Shell(site.client(), "small") as inside:
        assert inside.session.state == "running"
    site = Site(live, (200, {"session": up}))
    with pytest.raises(ApiError, match="No"), Shell(site.client(), "small"):
        pass
    assert not [asked for asked in site.asked if str(asked.url).endswith("/end")], "it is somebody's work"


def test_a_session_that_nobody_shows_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(shell, "UNSEEN_S", -1)
    site = Site((409, error("session_already_live")), (200, {"session": None}))
    with pytest.raises(ApiError, match="No"), Shell(site.client(), "small"):
        pass
    assert site.answers == []


@pytest.mark.parametrize(("path", "said"), [("a b", '"a b"'), ('a"b\\c*', '"a\\"b\\\\c\\*"')])
def test_paths_are_one_word_to_sftp(path, said):
    assert _quoted(path) == said
    with pytest.raises(shell.ShellFailed):
        _quoted("a\nget /etc/passwd")


def test_the_command_wants_a_way_in_and_says_errors_as_json(tmp_path, monkeypatch):
    run = CliRunner().invoke
    assert run(agent.main, ["--site", "http://localhost:1", "true"]).exit_code == 2
    token = tmp_path / "token"
    token.write_text("axonos_a_b\n")
    options = ["--site", "https://gpu.example", "--token-file", str(token), "--json", "true"]
    site = Site((401, error("token_refused")))
    monkeypatch.setattr(agent.Axonos, "with_token", lambda *_: site.client())
    done = run(agent.main, options)
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (3, "token_refused")
    site.answers = [httpx.ConnectError("gone")]
    done = run(agent.main, options)
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (4, "unreachable")


def test_who_pays_names_the_key_s_file_and_an_amount_and_no_key_stands_on_the_command_line(tmp_path):
    run, site = CliRunner().invoke, ["--site", "https://gpu.example"]
    key = tmp_path / "key"
    key.write_text("correct horse battery staple\n")
    for wrong in (["--pay", "1"], ["--wallet-key-file", str(key), "--pay", "1"]):
        done = run(agent.main, [*site, *wrong, "true"])
        assert done.exit_code == 2, done.output
        assert "horse" not in done.output
    for amount in ("0", "-1", "nan", "inf", "ten"):
        done = run(agent.main, [*site, "--wallet-key-file", str(key), "--pay", amount, "true"])
        assert (done.exit_code, "no amount of USDC" in done.output) == (2, True), amount
    assert not [word for option in agent.main.params for word in option.opts if word == "--wallet-key"]

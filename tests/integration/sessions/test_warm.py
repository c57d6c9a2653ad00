"""The warm server: same runs as cold ones, never stale, and killed at every turn."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from run_kit import PLAYBOOKS, ROOT, children, eventually, is_gone, make_provisioner, play

from controller.adapters.warm.loaded import CHANGED

pytestmark = pytest.mark.integration


@pytest.fixture
def warm(tmp_path):
    made = make_provisioner(tmp_path)
    yield made
    made.close()
    assert list((tmp_path / "runs").iterdir()) == []


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: is_gone(pid))


def becomes_warm(provisioner):
    """The next server serves."""
    outcome = play(provisioner)[0]
    until = time.monotonic() + 60
    while outcome.way != "warm":
        assert outcome.succeeded, outcome
        assert time.monotonic() < until, outcome
        outcome = play(provisioner)[0]
    assert outcome.succeeded


class InWork:
    """A run in another thread that goes on until it is let go."""

    def __init__(self, provisioner, state):
        self.state, self.outcome = state, None
        self.thread = threading.Thread(target=self._run, args=(provisioner,))
        self.thread.start()
        eventually((state / "asked").exists)

    def _run(self, provisioner):
        self.outcome = play(provisioner, {"sleep_s": 100})[0]

    def end(self):
        (self.state / "go").touch()
        self.thread.join(timeout=60)
        assert self.outcome is not None
        return self.outcome


def normal(value):
    """What two runs of the same have in common: no instants, ids, folders or process numbers."""
    if isinstance(value, dict):
        return {k: normal(v) for k, v in value.items() if k not in VARYING}
    if isinstance(value, list):
        return [normal(v) for v in value]
    if isinstance(value, str):
        return re.sub(r"/\d+-\w{8}/run-7-\w{8}", "/RUN", value)
    return value


VARYING = {"uuid", "parent_uuid", "created", "pid", "start", "end", "duration", "task_uuid", "play_uuid"} | {
    "playbook_uuid",
    "delta",
}


@pytest.mark.parametrize(
    ("answer", "playbook"),
    [({"ok": True, "changed": True}, "session_start.yml"), ({"ok": False, "code": "x"}, "session_stop.yml")],
)
def test_a_warm_run_is_a_cold_run(tmp_path, answer, playbook):
    """Events to the last word; descriptors, umask, directory, user and environment of its programs."""
    found = {}
    for way in ("warm", "cold"):
        made = make_provisioner(tmp_path, way=way)
        try:
            found[way] = play(made, {"answer": answer}, playbook=playbook)
        finally:
            made.close()
    (warm, warm_events), (cold, cold_events) = found["warm"], found["cold"]
    assert (warm.way, cold.way) == ("warm", "cold")
    assert normal(warm.result) == normal(cold.result)
    assert warm.result.get("own") == cold.result.get("own")
    assert normal(warm_events) == normal(cold_events)
    assert len({event["uuid"] for event in warm_events + cold_events}) == len(warm_events + cold_events)


def test_twenty_runs_at_once_keep_to_themselves(warm, tmp_path):
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda i: play(warm, {"slot": f"s-{i}"}), range(20)))
    assert [outcome.result.get("slot") for outcome, _ in found] == [f"s-{i}" for i in range(20)]
    assert {outcome.way for outcome, _ in found} == {"warm"}
    assert all(events[-1]["event"] == "playbook_on_stats" for _, events in found)
    uuids = [event["uuid"] for _, events in found for event in events]
    assert len(set(uuids)) == len(uuids)
    eventually(lambda: children(warm.warm.pid) == {})  # no zombie, no stray
    assert list((tmp_path / "runs").rglob("ansible-local-*"))[1:] == [], "only the server's own is left"


def test_a_server_killed_before_a_run_makes_it_cold_and_is_followed_by_another(warm):
    kill(warm.warm.pid)
    outcome, events = play(warm)
    assert outcome.succeeded
    assert outcome.way == "cold"
    assert outcome.way_why.startswith("server does not answer: ")
    assert events[-1]["event"] == "playbook_on_stats"
    becomes_warm(warm)


def test_a_server_killed_in_the_middle_of_a_run_does_not_end_the_run(warm, tmp_path):
    run = InWork(warm, tmp_path)
    kill(warm.warm.pid)
    outcome = run.end()
    assert (outcome.succeeded, outcome.way) == (True, "warm"), outcome
    becomes_warm(warm)


def test_a_run_killed_in_the_middle_may_be_tried_again_and_leaves_no_task_behind(warm, tmp_path):
    run = InWork(warm, tmp_path)
    server = warm.warm.pid
    (child,) = children(server)
    (task,) = children(child)
    kill(child)
    run.thread.join(timeout=60)
    assert (run.outcome.error_code, run.outcome.result["retry"]) == ("run_interrupted", "here")
    eventually(lambda: is_gone(task))
    eventually(lambda: children(server) == {})
    (tmp_path / "go").touch()
    assert play(warm)[0].way == "warm"
    assert warm.warm.pid == server


def test_a_client_killed_in_the_middle_takes_its_run_with_it(warm, tmp_path):
    others = children(os.getpid())
    run = InWork(warm, tmp_path)
    (child,) = children(warm.warm.pid)
    (client,) = children(os.getpid()).keys() - others.keys()
    os.kill(client, signal.SIGKILL)
    eventually(lambda: is_gone(child))
    run.thread.join(timeout=60)
    assert (run.outcome.error_code, run.outcome.result["retry"]) == ("run_interrupted", "here")
    (tmp_path / "go").touch()
    assert play(warm)[0].way == "warm"


@pytest.mark.parametrize("fault", ["socket removed", "hangs"])
def test_a_server_that_cannot_be_reached_is_replaced(warm, tmp_path, fault):
    server = warm.warm.pid
    if fault == "hangs":
        (client,) = (tmp_path / "runs").rglob("ansible-playbook")
        client.write_text(client.read_text().replace("PATIENCE_S = 10.0", "PATIENCE_S = 2.0"))
        os.kill(server, signal.SIGSTOP)
    else:
        next((tmp_path / "runs").rglob("server-1")).unlink()
    outcome, _ = play(warm)
    assert (outcome.succeeded, outcome.way) == (True, "cold"), outcome
    eventually(lambda: is_gone(server))
    becomes_warm(warm)


def test_a_worn_server_is_replaced_and_no_run_goes_cold(tmp_path):
    made = make_provisioner(tmp_path, max_runs=3)
    try:
        first, ways, pids = made.warm.pid, [], set()
        while len(pids) < 2:
            ways.append(play(made)[0].way)
            pids.add(made.warm.pid)
            assert len(ways) < 100
        eventually(lambda: is_gone(first))
        ways += [play(made)[0].way for _ in range(2)]
        assert set(ways) == {"warm"}
    finally:
        made.close()


@pytest.fixture
def own_playbooks(tmp_path):
    return shutil.copytree(PLAYBOOKS, tmp_path / "playbooks", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.parametrize("what", ["playbook", "plugin", "ansible.cfg"])
def test_what_was_edited_counts_from_the_next_run_on(tmp_path, own_playbooks, what):
    made = make_provisioner(tmp_path, playbooks=own_playbooks)
    try:
        assert play(made)[0].way == "warm"
        if what == "plugin":
            path = own_playbooks / "collections/ansible_collections/axonos/platform/plugins/action/session.py"
            old, new = "super().run(tmp, task_vars)", 'super().run(tmp, task_vars) | {"edited": True}'
        elif what == "playbook":
            path = own_playbooks / "session_start.yml"
            old, new = "name: Start one desktop on its host", "name: edited"
        else:
            path = own_playbooks / "ansible.cfg"
            old, new = "nocows = True", "nocows = True\nshow_custom_stats = True"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        outcome, events = play(made)
        assert (outcome.succeeded, outcome.way, outcome.way_why) == (True, "cold", CHANGED), outcome
        assert shows(what, events)
        becomes_warm(made)
        outcome, events = play(made)
        assert outcome.way == "warm"
        assert shows(what, events)
    finally:
        made.close()


def shows(what, events):
    if what == "plugin":
        return any(event["event_data"].get("res", {}).get("edited") for event in events)
    return what == "ansible.cfg" or any(event["event_data"].get("play") == "edited" for event in events)


def test_another_environment_than_the_servers_is_a_cold_run(warm, monkeypatch):
    monkeypatch.setenv("ANSIBLE_FORKS", "3")
    outcome, _ = play(warm)
    assert (outcome.succeeded, outcome.way) == (True, "cold"), outcome
    assert outcome.way_why == "environment differs: ANSIBLE_FORKS"
    monkeypatch.delenv("ANSIBLE_FORKS")
    monkeypatch.setenv("OF_THIS_RUN", "1")
    assert "OF_THIS_RUN" in play(warm)[0].result["own"]["env"]
    monkeypatch.delenv("OF_THIS_RUN")
    outcome, _ = play(warm)
    assert outcome.way == "warm"
    assert "OF_THIS_RUN" not in outcome.result["own"]["env"]


def test_a_full_disk_is_a_run_to_try_again(tmp_path):
    state = tmp_path / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "test", state], check=True)
    try:
        made = make_provisioner(state)
        try:
            with pytest.raises(OSError, match="No space"):
                (state / "filler").write_bytes(bytes(2 << 20))
            outcome, _ = play(made)
            assert not outcome.succeeded
            assert outcome.result["retry"] == "here"
            (state / "filler").unlink()
            outcome, events = play(made)
            assert (outcome.succeeded, outcome.way) == (True, "warm"), outcome
            assert events[-1]["event"] == "playbook_on_stats"
        finally:
            made.close()
    finally:
        subprocess.run(["umount", state], check=True)


WORKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from run_kit import make_provisioner, play
made = make_provisioner(Path({state!r}))
print(made.warm.pid, flush=True)
play(made, {{"sleep_s": 100}})
"""


def test_a_killed_worker_takes_server_and_runs_with_it_and_the_next_one_sweeps_up(tmp_path):
    source = WORKER.format(here=str(ROOT / "tests/integration/sessions"), state=str(tmp_path))
    worker = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        server = int(worker.stdout.readline())
        eventually((tmp_path / "asked").exists)
        (child,) = children(server)
        (task,) = children(child)
    finally:
        worker.kill()
        worker.wait(timeout=30)
        worker.stdout.close()
    for pid in (server, child, task):
        eventually(lambda pid=pid: is_gone(pid))
    (left,) = (tmp_path / "runs").iterdir()
    made = make_provisioner(tmp_path)
    assert not left.exists()
    made.close()
    assert list((tmp_path / "runs").iterdir()) == []


SSH = """#!/bin/bash
# ssh that reaches this machine only: one connection is kept for all runs, as ControlPersist does.
[ -e {state}/kept ] || (exec -a ssh setsid {state}/bin/ssh-kept </dev/null >/dev/null 2>&1 & echo $! >{state}/kept)
while [ $# -gt 1 ]; do shift; done
exec /bin/sh -c "$1"
"""


def test_a_host_behind_ssh_keeps_its_connection_through_runs_and_their_ends(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(SSH.format(state=tmp_path))
    (programs / "ssh").chmod(0o755)
    shutil.copy("/bin/sleep", programs / "sleep")
    (programs / "ssh-kept").write_text(
        f"#!/bin/sh\ncp {programs}/sleep {tmp_path}/ssh && exec {tmp_path}/ssh 600\n"
    )
    (programs / "ssh-kept").chmod(0o755)
    monkeypatch.setenv("ANSIBLE_SSH_EXECUTABLE", str(programs / "ssh"))
    away = {"name": "gpu-1", "connection": "ssh", "address": "192.0.2.1"}
    made = make_provisioner(tmp_path)
    kept = None
    try:
        outcome, _ = play(made, host=away)
        assert (outcome.succeeded, outcome.way) == (True, "warm"), outcome
        kept = int((tmp_path / "kept").read_text())
        outcome, _ = play(made, {"sleep_s": 100}, host=away, timeout_s=2)
        assert outcome.error_code == "timeout"
        (tmp_path / "go").touch()
        assert play(made, host=away)[0].way == "warm"
        assert not is_gone(kept)
        made.close()
        assert not is_gone(kept), "it is ssh's own, and ends after its time"
    finally:
        made.close() if kept is None else None
        if kept:
            os.kill(kept, signal.SIGKILL)

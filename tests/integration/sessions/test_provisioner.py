"""The provisioner for real: ansible-runner, our playbooks and action plugin, a host program that answers as told."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from controller.adapters.provisioner import AnsibleProvisioner

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]
HOST = {"name": "here", "connection": "local", "address": "127.0.0.1"}
PROGRAM = """#!{python}
import json, sys, time
request = json.load(sys.stdin)
time.sleep(request.get("sleep_s", 0))
answer = request["answer"] | {{"said": sys.argv[1:], "slot": request["slot"]}}
print(json.dumps(answer))
sys.exit(0 if answer["ok"] else 1)
"""


@pytest.fixture(params=["warm", "cold"])
def provisioner(request, tmp_path):
    """Everything below holds both ways."""
    program = tmp_path / "venv/bin/axonos-host"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    made = AnsibleProvisioner(ROOT / "playbooks", tmp_path, warm=request.param == "warm")
    assert made.warm is None or made.warm.ready.wait(60)
    made.expected_way = request.param
    yield made
    made.close()
    assert list((tmp_path / "runs").iterdir()) == []


def run(provisioner, request, *, playbook="session_start.yml", host=HOST, timeout_s=60):
    events = []
    outcome = provisioner.run(
        run_id=7,
        playbook=playbook,
        host=host,
        variables={"session_request": {"slot": "s-1", **request}},
        on_event=events.append,
        timeout_s=timeout_s,
    )
    assert (outcome.way, outcome.way_why) == (provisioner.expected_way, None)
    return outcome, events


@pytest.mark.parametrize("operation", ["start", "stop", "probe"])
def test_the_answer_of_the_host_comes_back_and_nothing_is_left(provisioner, operation, tmp_path):
    answer = {"ok": True, "changed": True, "container_id": "abc"}
    outcome, events = run(provisioner, {"answer": answer}, playbook=f"session_{operation}.yml")
    assert outcome.succeeded
    assert outcome.error_code is None
    assert outcome.result["container_id"] == "abc"
    assert outcome.result["said"] == [operation, "--config", str(tmp_path / "host.toml")]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "playbook_on_start"
    assert kinds[-1] == "playbook_on_stats"
    assert "runner_on_ok" in kinds
    assert [event["counter"] for event in events] == sorted(event["counter"] for event in events)
    assert json.dumps(events)
    assert list((tmp_path / "runs").rglob("run-*")) == []


def test_a_refusal_keeps_its_word(provisioner):
    answer = {"ok": False, "code": "gpu_busy", "message": "held", "retry": "elsewhere"}
    outcome, events = run(provisioner, {"answer": answer})
    assert (outcome.succeeded, outcome.error_code) == (False, "gpu_busy")
    assert outcome.result["retry"] == "elsewhere"
    assert "runner_on_failed" in [event["event"] for event in events]


def test_a_run_that_takes_too_long_is_ended(provisioner, tmp_path):
    began = time.monotonic()
    outcome, _ = run(provisioner, {"answer": {"ok": True}, "sleep_s": 120}, timeout_s=2)
    assert (outcome.succeeded, outcome.error_code) == (False, "timeout")
    assert time.monotonic() - began < 60
    assert list((tmp_path / "runs").rglob("run-*")) == []


def test_a_host_that_cannot_be_reached_says_so(provisioner):
    away = {"name": "away", "connection": "ssh", "address": "nowhere.invalid"}
    outcome, _ = run(provisioner, {"answer": {"ok": True}}, host=away)
    assert (outcome.succeeded, outcome.error_code) == (False, "host_unreachable")


def test_a_playbook_that_is_missing_is_a_failed_run(provisioner):
    outcome, _ = run(provisioner, {"answer": {"ok": True}}, playbook="nothing.yml")
    assert (outcome.succeeded, outcome.error_code) == (False, "run_failed")

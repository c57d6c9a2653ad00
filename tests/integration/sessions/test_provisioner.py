"""The provisioner for real: ansible-runner, our playbooks and action plugin, a host program that answers as told."""

from __future__ import annotations

import json

import pytest
from run_kit import eventually, is_gone, make_provisioner, play

pytestmark = pytest.mark.integration


@pytest.fixture(params=["warm", "cold"])
def provisioner(request, tmp_path):
    """Everything below holds both ways."""
    made = make_provisioner(tmp_path, way=request.param)
    made.expected_way = request.param
    yield made
    made.close()
    assert list((tmp_path / "runs").iterdir()) == []


def run(provisioner, request, **options):
    outcome, events = play(provisioner, request, **options)
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
    stages = outcome.stages
    assert list(stages) == ["playbook", "task", "answer", "ended"]
    assert list(stages.values()) == sorted(stages.values())
    assert list((tmp_path / "runs").rglob("run-*")) == []


def test_a_refusal_keeps_its_word(provisioner):
    answer = {"ok": False, "code": "gpu_busy", "message": "held", "retry": "elsewhere"}
    outcome, events = run(provisioner, {"answer": answer})
    assert (outcome.succeeded, outcome.error_code) == (False, "gpu_busy")
    assert outcome.result["retry"] == "elsewhere"
    assert "runner_on_failed" in [event["event"] for event in events]


def test_a_run_that_takes_too_long_is_ended_with_all_its_processes(provisioner, tmp_path):
    for timeout_s in (3, 15, 60):  # a busy machine may not have come to the task before
        outcome, _ = run(provisioner, {"sleep_s": 240, "child": True}, timeout_s=timeout_s)
        assert (outcome.succeeded, outcome.error_code) == (False, "timeout")
        if (tmp_path / "pids").exists():
            break
    assert list((tmp_path / "runs").rglob("run-*")) == []
    for pid in (tmp_path / "pids").read_text().split():
        eventually(lambda pid=pid: is_gone(pid))


def test_a_host_that_cannot_be_reached_says_so(provisioner):
    away = {"name": "away", "connection": "ssh", "address": "nowhere.invalid"}
    outcome, _ = run(provisioner, {}, host=away)
    assert (outcome.succeeded, outcome.error_code) == (False, "host_unreachable")


def test_a_playbook_that_is_missing_is_a_failed_run(provisioner):
    outcome, _ = run(provisioner, {}, playbook="nothing.yml")
    assert (outcome.succeeded, outcome.error_code) == (False, "run_failed")


def test_no_word_of_the_request_is_in_a_process_list(provisioner, tmp_path):
    import threading
    from pathlib import Path

    word = "word-that-nobody-else-has"
    thread = threading.Thread(target=lambda: run(provisioner, {"sleep_s": 60, "odd": word}))
    thread.start()
    try:
        eventually((tmp_path / "asked").exists)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    found = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                except OSError:
                    continue
                assert word.encode() not in found
    finally:
        (tmp_path / "go").touch()
        thread.join()

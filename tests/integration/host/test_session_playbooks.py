"""The three session playbooks, run as the platform runs them: through ansible-runner, events and all."""

import shutil
import sys
from pathlib import Path

import ansible_runner
import pytest
from hostkit import slot_id

pytestmark = pytest.mark.integration
PLAYBOOKS = Path(__file__).parents[3] / "playbooks"


@pytest.fixture
def play(host, tmp_path, monkeypatch):
    """Run one playbook on this machine; (status, the task's result, events)."""
    program = tmp_path / "axonos-host"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m controller.host "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("ANSIBLE_CONFIG", str(PLAYBOOKS / "ansible.cfg"))

    def run(name, request, **options):
        host.made.add(request.get("slot"))
        folder = tmp_path / "runner"
        folder.mkdir()
        done = ansible_runner.run(
            private_data_dir=str(folder),
            project_dir=str(PLAYBOOKS),
            playbook=name,
            inventory={"all": {"hosts": {"host-1": {"ansible_connection": "local"}}}},
            extravars={
                "session_request": request,
                "axonos_host_program": str(program),
                "axonos_host_config": str(host.config_path),
            },
            quiet=True,
            **options,
        )
        events = list(done.events)
        done.stdout.close()
        results = [
            e["event_data"]["res"] for e in events if e["event"] in {"runner_on_ok", "runner_on_failed"}
        ]
        shutil.rmtree(folder)
        return done.status, results[0], events

    return run


def test_a_session_starts_changes_nothing_twice_and_stops(host, play):
    status, result, events = play("session_start.yml", host.request())
    assert (status, result["changed"], result["axonos"]["ok"]) == ("successful", True, True)
    assert "playbook_on_stats" in {event["event"] for event in events}
    assert not play("session_start.yml", host.request())[1]["changed"]
    slots = play("session_probe.yml", {"instance": host.config.instance})[1]["axonos"]["slots"]
    assert [(slot["slot"], slot["state"]) for slot in slots] == [(slot_id(1), "running")]
    body = {"instance": host.config.instance, "slot": slot_id(1), "fencing_token": 1, "timeout_s": 5}
    assert play("session_stop.yml", body)[1]["changed"]
    assert not play("session_stop.yml", body)[1]["changed"]
    assert host.leavings() == set()


def test_a_failure_is_a_word_in_the_result(host, play):
    status, result, _ = play("session_start.yml", host.request(image="sha256:" + "0" * 64))
    assert status == "failed"
    assert (result["axonos"]["code"], result["axonos"]["retry"]) == ("image_missing", "elsewhere")
    assert result["msg"].startswith("image_missing: ")


def test_check_mode_tells_and_does_nothing(host, play):
    assert play("session_start.yml", host.request(), cmdline="--check")[1]["changed"]
    assert host.leavings() == set()
    host.started()
    assert not play("session_start.yml", host.request(), cmdline="--check")[1]["changed"]
    body = {"instance": host.config.instance, "slot": slot_id(1), "fencing_token": 1, "timeout_s": 5}
    assert play("session_stop.yml", body, cmdline="--check")[1]["changed"]
    assert "container" in host.leavings()


def test_a_missing_program_is_an_unreachable_host(host, play, tmp_path):
    (tmp_path / "axonos-host").unlink()
    status, result, _ = play("session_probe.yml", {"instance": host.config.instance})
    assert status == "failed"
    assert result["axonos"]["code"] == "host_unreachable"


def test_the_request_reaches_the_program_unchanged(host, play):
    """Nothing of a request is a shell word: the object travels on standard input."""
    odd = host.request(session="$(reboot)'\"; x")
    _, result, _ = play("session_start.yml", odd)
    assert result["axonos"]["code"] == "bad_input"
    assert "session" in result["axonos"]["message"]

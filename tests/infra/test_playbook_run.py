import base64

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from infra import playbook_process, playbook_run
from infra.content_hash import content_hash, files_hash
from infra.desktop_image import LoadedImageProvider
from infra.playbook_events import Outcome, log_line, take
from infra.playbook_run import PlaybookFailed, PlaybookRunProvider

PLAYBOOK = "- hosts: all\n  tasks: []\n"


@pytest.fixture
def props(tmp_path):
    playbook = tmp_path / "site.yml"
    playbook.write_text(PLAYBOOK)
    return {
        "name": "site-local",
        "playbook": str(playbook),
        "inventory": {},
        "variables": {},
        "watched": [],
        "files": files_hash(playbook),
        "content": "c1",
        "work_dir": str(tmp_path),
        "log_dir": str(tmp_path),
        "timeout_s": 60.0,
    }


def answering(monkeypatch, **outcome):
    asked = []

    def execute(request, stopped):
        asked.append((request, stopped()))
        return Outcome(**outcome)

    monkeypatch.setattr(playbook_run, "execute", execute)
    return asked


def test_content_and_drift_decide_and_the_serialised_provider_does_not():
    diff = PlaybookRunProvider().diff
    old = {"content": "c1", "drift": 0.0, "__provider": "as it was"}
    assert diff("x", old, {"content": "c1", "__provider": "as it is"}).changes is False
    assert diff("x", old, {"content": "c2", "__provider": "as it was"}).changes is True
    assert diff("x", {**old, "drift": 1.0}, {"content": "c1"}).changes is True


@pytest.mark.parametrize("provider", [PlaybookRunProvider(), LoadedImageProvider()])
def test_a_provider_is_kept_by_its_import_path_alone(provider):
    kept = base64.b64decode(serialize_provider(provider))
    assert type(provider).__module__.encode() in kept
    assert len(kept) < 200, "code or captured objects came along"


def test_a_check_names_what_it_would_change_and_what_fails(props, monkeypatch):
    asked = answering(monkeypatch, status="failed", changed=["Write it"], failed=["Start it"])
    found = PlaybookRunProvider().read("site-local", props)
    assert (found.outs["drift"], found.outs["drift_tasks"]) == (2, ["Write it", "Start it: fails"])
    assert asked[0][0].check is True
    assert asked[0][0].timeout_s == 60


def test_a_check_that_ends_without_saying_why_is_drift(props, monkeypatch):
    answering(monkeypatch, status="timeout")
    assert PlaybookRunProvider().read("site-local", props).outs["drift"] == 1


def test_no_drift_is_no_drift(props, monkeypatch):
    answering(monkeypatch, status="successful")
    assert PlaybookRunProvider().read("site-local", props).outs["drift"] == 0


def test_an_edited_playbook_is_not_checked_against_the_old_host(props, monkeypatch, tmp_path):
    asked = answering(monkeypatch, status="successful")
    (tmp_path / "site.yml").write_text(PLAYBOOK + "# more\n")
    assert PlaybookRunProvider().read("site-local", props).outs == props
    assert asked == []


def test_an_interrupted_check_is_not_recorded(props, monkeypatch, tmp_path):
    (tmp_path / playbook_run.CANCEL).touch()
    asked = answering(monkeypatch, status="canceled")
    with pytest.raises(PlaybookFailed, match="interrupted"):
        PlaybookRunProvider().read("site-local", props)
    assert asked[0][1] is True, "the mark in the work folder ends the run"


def test_a_run_records_what_it_changed(props, monkeypatch):
    answering(monkeypatch, status="successful", changed=["Write it"])
    made = PlaybookRunProvider().create(props)
    assert made.id == "site-local"
    assert (made.outs["drift"], made.outs["changed_tasks"]) == (0, ["Write it"])


def test_a_failed_run_names_the_task_and_the_log(props, monkeypatch):
    answering(monkeypatch, status="failed", failed=["Start PostgreSQL"])
    with pytest.raises(PlaybookFailed, match=r"Start PostgreSQL.*playbook-site-local\.jsonl"):
        PlaybookRunProvider().update("site-local", {}, props)


def event(kind, result, **data):
    return {"event": kind, "event_data": {"task": "Write it", "host": "local", "res": result, **data}}


def test_events_tell_changed_and_failed_tasks_with_their_paths():
    outcome = Outcome()
    take(outcome, event("runner_on_ok", {"changed": False}))
    take(outcome, event("runner_on_ok", {"changed": True, "dest": "/etc/a"}))
    take(outcome, event("runner_on_ok", {"changed": True, "diff": [{"before_header": "/etc/b"}]}))
    loop = {"changed": True, "results": [{"changed": True, "path": "/c"}, {"changed": False, "path": "/d"}]}
    take(outcome, event("runner_on_ok", loop, host="gpu-1"))
    take(outcome, event("runner_on_failed", {"msg": "no"}, task="Start it"))
    take(outcome, event("runner_on_failed", {"msg": "no"}, task="Try it", ignore_errors=True))
    assert outcome.changed == ["Write it (/etc/a)", "Write it (/etc/b)", "gpu-1: Write it (/c)"]
    assert outcome.failed == ["Start it: no"]


def test_the_log_keeps_no_results():
    line = log_line(event("runner_on_failed", {"msg": "no space", "content": "large"}))
    assert line["message"] == "no space"
    assert "large" not in str(line)


def test_the_content_hash_sees_playbooks_imports_roles_and_variables(tmp_path):
    site, host = tmp_path / "site.yml", tmp_path / "host.yml"
    site.write_text("- name: Host\n  ansible.builtin.import_playbook: host.yml\n")
    host.write_text(PLAYBOOK)
    (tmp_path / "other.yml").write_text(PLAYBOOK)
    role = tmp_path / "roles" / "base" / "tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text("[]\n")
    seen = {files_hash(site)}
    for path in (host, role / "main.yml"):
        path.write_text(path.read_text() + "# edited\n")
        seen.add(files_hash(site))
    assert len(seen) == 3
    (tmp_path / "other.yml").write_text("[]\n")
    assert files_hash(site) in seen, "a playbook that is not imported does not count"
    assert content_hash("f", {}, {"a": 1}) != content_hash("f", {}, {"a": 2})


def test_a_machine_with_another_key_is_told_in_a_line_without_frames():
    frame = "@" * 59
    said = f"Failed to connect to the host via ssh: {frame}\n@  IDENTIFICATION HAS CHANGED!   @\n{frame}\nHost key verification failed."
    outcome = Outcome()
    take(
        outcome,
        {
            "event": "runner_on_unreachable",
            "event_data": {"task": "T", "host": "two", "res": {"msg": said}},
        },
    )
    (told,) = outcome.failed
    assert told == (
        "two: T: Failed to connect to the host via ssh: IDENTIFICATION HAS CHANGED! Host key verification failed."
    )


def test_a_run_looks_at_the_keys_of_machines(tmp_path):
    assert playbook_process._environment(tmp_path)["ANSIBLE_HOST_KEY_CHECKING"] == "True"

"""A stack's life on the real Pulumi engine, the real Docker engine and real playbook runs."""

from __future__ import annotations

import re
import shutil

import docker
import pytest
from pulumi_kit import ROOT, World, pulumi_cli, world

from infra import engine
from infra.stack_config import saved_config

__all__ = ["pulumi_cli", "world"]
pytestmark = pytest.mark.integration


def remove_network(world: World) -> None:
    client = docker.from_env()
    client.networks.get(world.network).remove()
    client.close()


def test_a_stack_from_nothing_to_nothing(world: World) -> None:
    first = world.up()
    assert {(c.kind, c.op) for c in first.changed} >= {("PlaybookRun", "create"), ("Network", "create")}
    assert (world.out / "settings").read_text() == "a = 1\n"
    assert world.in_docker() == sorted([world.network, world.volume])
    assert any("Write the settings" in line for line in world.told)

    again = world.up()
    assert (again.changes, again.changed, again.drift) == ({}, (), ())
    assert any("checking site-local" in line for line in world.told), "really looked at, not remembered"
    assert not any("running site-local" in line for line in world.told)

    (world.out / "settings").write_text("a = 2\n")
    remove_network(world)
    seen = engine.refresh(saved_config(world.folder / "state"), cli=world.cli)
    assert {d.name: d.what for d in seen.drift} == {
        "site-local": (f"Write the settings ({world.out}/settings)",),
        "verification": ("gone",),
    }
    assert (world.out / "settings").read_text() == "a = 2\n", "a refresh only looks"

    repaired = world.up()
    assert {(c.name, c.op) for c in repaired.changed} == {
        ("site-local", "update"),
        ("verification", "create"),
    }
    tasks = [task for c in repaired.changed for task in c.tasks]
    assert tasks == [f"Write the settings ({world.out}/settings)"]
    assert (world.out / "settings").read_text() == "a = 1\n"

    gone = engine.destroy(world.config(), cli=world.cli)
    assert gone.changes["delete"] == len(first.changed)
    assert world.in_docker() == []
    assert (world.out / "settings").exists(), "a host keeps what playbooks set up"


def test_an_edited_playbook_runs_again_and_nothing_else(world: World) -> None:
    world.up()
    world.playbook.write_text(world.playbook.read_text().replace("a = 1", "a = 3"))
    plan = engine.preview(world.config(), cli=world.cli)
    assert [(c.name, c.op) for c in plan.changed] == [("site-local", "update")]
    done = world.up()
    assert [(c.name, c.op) for c in done.changed] == [("site-local", "update")]
    assert done.drift == (), "an edited playbook is no drift of the host"
    assert (world.out / "settings").read_text() == "a = 3\n"


def test_a_failing_playbook_says_which_task_and_the_next_run_continues(world: World) -> None:
    shutil.rmtree(world.out)
    said, _ = world.start().communicate(timeout=120)
    assert re.search(
        r"ERROR operation_failed site-local: Write the greeting.*Events: .*site-local\.jsonl", said
    )
    world.out.mkdir()
    assert {c.name for c in world.up().changed} >= {"site-local", "verification"}


def test_an_edited_comment_in_a_provider_changes_nothing(world: World) -> None:
    copy = world.folder / "project"
    shutil.copytree(ROOT / "infra", copy / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    said, _ = world.start(project=copy).communicate(timeout=120)
    assert "DONE" in said
    for name in ("playbook_run.py", "desktop_image.py"):
        module = copy / "infra" / name
        module.write_text(module.read_text() + "\n# An afterthought.\n")
    said, _ = world.start(project=copy).communicate(timeout=120)
    assert '"changes": {}' in said


def test_docker_that_does_not_answer_is_brought_back_by_its_playbook(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = world.out / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{link}")
    started = '    - name: Start Docker\n      ansible.builtin.file: {src: /var/run/docker.sock, dest: "{{ out }}/docker.sock", state: link}\n'
    world.playbook.write_text(world.playbook.read_text() + started)
    world.up()
    link.unlink()
    repaired = world.up()
    assert [d.name for d in repaired.drift] == ["site-local"]
    assert [(c.name, c.tasks) for c in repaired.changed] == [("site-local", (f"Start Docker ({link})",))]


def test_a_host_that_does_not_answer_is_named(world: World) -> None:
    world.far = True
    said, _ = world.start().communicate(timeout=120)
    assert "ERROR operation_failed site-far: " in said
    assert "Connection refused" in said

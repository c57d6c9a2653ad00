"""From a machine with git, make and python3 to a platform that works, mends itself, and goes without a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from machine_kit import Machine, fresh_machine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
STATE = "/var/lib/axonos"
# Steps of one story on one machine, in the order written; the first failure ends it.
SUPERVISORCTL = (f"{STATE}/venv/bin/supervisorctl", "-c", f"{STATE}/supervisor/supervisord.conf")
AXONOS = ("env", f"AXONOS_CONFIG={STATE}/axonos.toml", f"{STATE}/venv/bin/axonos")
# A visitor who launches and stays.
LAUNCH = """
from controller.selfcheck.visitor import Visitor
with Visitor("http://localhost:8080") as visitor:
    visitor.sign_in()
    visitor.take_play_money()
    visitor.wait_credited(visitor.pay_minimum())
    session = visitor.launch()
    visitor.wait_running()
    print(session)
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with fresh_machine(tmp_path_factory.mktemp("machine")) as made:
        yield made


# What `make up` says at the beginning of its stages, in their order; the last four run side by side.
STAGES = (
    "Installing python3-venv",
    "Installing the locked Python packages",
    "Desktop image: begun",
    "Platform: running host-local: Install Docker where there is none",
)


def drifted(outcome: dict) -> set[str]:
    return {f"{found['name']}: {what}" for found in outcome["drift"] for what in found["what"]}


def test_a_system_it_was_never_tried_on_is_refused(machine: Machine) -> None:
    told = machine.run("readlink", "/etc/os-release").strip()
    other = "rm /etc/os-release; printf 'ID=arch\\nPRETTY_NAME=\"Arch Linux\"\\n' > /etc/os-release"
    machine.run("sh", "-c", other)
    status, said = machine.failing_up()
    machine.run("ln", "-sf", told, "/etc/os-release")
    assert status == 3
    assert "Arch Linux is not supported; Debian 12 and Ubuntu 24.04 are." in said
    assert "What to do: Use one of them, or add --force" in said
    assert machine.run("sh", "-c", "ls -d /var/lib/axonos || true") == ""


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_in_a_stage_is_told_and_the_next_run_continues(machine: Machine, stage: str) -> None:
    said = machine.interrupted_up(at=stage)
    assert stage in said
    assert "nterrupted" in said
    assert "continues" in said
    assert "Traceback" not in said


def test_docker_that_cannot_start_is_told_with_its_own_words(machine: Machine) -> None:
    """What the four interrupted runs left is gone on from; then Docker refuses its configuration."""
    machine.run("sh", "-c", "mkdir -p /etc/docker; echo '{\"no-such-option\": 1}' > /etc/docker/daemon.json")
    status, said = machine.failing_up()
    machine.run("rm", "/etc/docker/daemon.json")
    assert status == 1
    assert "docker did not start" in said
    assert "no-such-option" in said
    assert "run it again" in said


def test_ctrl_c_in_the_self_check_ends_its_session(machine: Machine) -> None:
    said = machine.interrupted_up(at="Self-check: start")
    assert "nterrupted" in said
    assert "Traceback" not in said
    live = json.loads(machine.run(*AXONOS, "sessions", "list", "--json"))
    assert [one["session"]["id"] for one in live["sessions"] if one["session"]["state"] != "ending"] == []


def test_the_run_that_ends_stands_everything_up_and_does_the_main_job(machine: Machine) -> None:
    outcome = machine.up()
    print(f"last part of the first make up: {outcome['seconds']} s")
    assert outcome["ok"]
    assert outcome["origin"] == "http://localhost:8080"
    assert outcome["selfcheck"]["ok"]
    assert outcome["selfcheck"]["minutes_charged"] > 0
    size = machine.run("stat", "-c", "%s", outcome["selfcheck"]["screenshot"])
    assert int(size) > 10_000
    assert '"ok": true' in machine.make("doctor", "--json")


def test_a_second_run_looks_at_everything_and_changes_nothing(machine: Machine) -> None:
    outcome = machine.up()
    print(f"second make up: {outcome['seconds']} s, to be at most 30 on a quiet machine")
    assert (outcome["changed"], outcome["drift"]) == (0, [])
    assert outcome["selfcheck"]["ok"]


def test_what_somebody_changed_is_named_and_mended_and_nothing_else(machine: Machine) -> None:
    machine.run(*SUPERVISORCTL, "stop", "postgres")
    machine.run("docker", "network", "rm", "axonos-axonos-verification")
    machine.run("sh", "-c", "echo '# by hand' >> /etc/tmpfiles.d/axonos.conf")

    outcome = machine.up()

    assert drifted(outcome) == {
        "host-local: Run PostgreSQL (postgres: stopped)",
        "host-local: Create folders, secrets and rules (/etc/tmpfiles.d/axonos.conf: content differs)",
        "verification: gone",
    }
    assert {(c["op"], c["name"]) for c in outcome["changes"]} == {
        ("update", "host-local"),
        ("create", "verification"),
    }
    assert "RUNNING" in machine.run(*SUPERVISORCTL, "status", "postgres")
    assert "axonos-axonos-verification" in machine.run("docker", "network", "ls")
    assert "by hand" not in machine.run("cat", "/etc/tmpfiles.d/axonos.conf")
    assert machine.up()["changed"] == 0


def test_down_ends_sessions_in_order_and_stops_everything_and_up_brings_it_back(machine: Machine) -> None:
    session = machine.run(f"{STATE}/venv/bin/python", "-c", LAUNCH).strip()
    assert session in machine.run(*AXONOS, "sessions", "list", "--json")

    stopped = json.loads(machine.make("down", "--json").splitlines()[-1])

    assert stopped["sessions_ended"] == 1
    assert f"{STATE}/homes" not in machine.run("cat", "/proc/mounts")
    assert [line for line in machine.run("ps", "-eo", "args").splitlines() if STATE in line] == []
    assert json.loads(machine.make("down", "--json").splitlines()[-1])["stopped"] == []

    assert machine.up()["selfcheck"]["ok"]
    story = json.loads(machine.run(*AXONOS, "sessions", "show", session, "--json"))
    assert story["session"]["state"] == "ended"
    assert story["session"]["billed_gpu_ms"] > 0
    assert [run["state"] for run in story["runs"] if run["playbook"] == "session_stop.yml"] == ["succeeded"]
    machine.run(*AXONOS, "ledger", "audit")


def test_purge_leaves_nothing(machine: Machine) -> None:
    loop = machine.run(
        "losetup", "--noheadings", "-O", "NAME,BACK-FILE", "-j", f"{STATE}/homes.btrfs"
    ).split()
    assert loop[1:] == [f"{STATE}/homes.btrfs"]
    machine.make("down", "--purge --yes")

    left = machine.run("sh", "-c", "find / -xdev -iname '*axonos*' -not -path '/root/*' -not -path '/proc/*'")
    assert left.split() == []
    assert machine.run("sh", "-c", "getent passwd axonos axonos-gateway || true").strip() == ""
    assert "axonos" not in machine.run("nft", "list", "tables")
    # Loop devices are the kernel's: other machines on it show theirs too.
    loops = machine.run("losetup", "--noheadings", "-O", "NAME,BACK-FILE").splitlines()
    assert loop not in [line.split()[:2] for line in loops]
    assert "axonos" not in machine.run("cat", "/proc/mounts")
    assert [line for line in machine.run("ps", "-eo", "args").splitlines() if "/var/lib/axonos" in line] == []
    # Docker itself was started by the instance and went with it: its folders hold nothing of ours.
    names = machine.run("sh", "-c", "ls /var/lib/docker/containers /var/lib/docker/volumes || true")
    assert "axonos" not in names

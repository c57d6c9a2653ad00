"""The same promises where systemd runs: a Debian whose first process it is, in a container."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from collection_kit import COLLECTIONS
from machine_kit import OPTIONS, Machine, root_file_system

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
CONVERGE = """
import importlib, json, sys
sys.path.insert(0, "/collections")
name, check, params = json.loads(sys.argv[1])
module = importlib.import_module(f"ansible_collections.axonos.platform.plugins.modules.{name}")
given = {key: spec.get("default") for key, spec in module.ARGUMENTS.items()} | params
print(json.dumps([found["path"] for found in module.converge(given, check)["results"]]))
"""
PLACE = {"instance": "blue", "state_dir": "/var/lib/blue", "run_dir": "/run/blue"}
WEB = {
    "name": "web",
    "command": ["/usr/bin/python3", "-m", "http.server", "8000"],
    "user": "nobody",
    "ready": "http:8000/",
    "directory": "/usr/share",
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    name, archive = f"axsystemd-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("systemd") / "root.tar"
    root_file_system(archive, "python3,systemd,systemd-sysv,dbus")
    subprocess.run(["docker", "import", archive, name], check=True, capture_output=True)
    mounts = ["-v", f"{COLLECTIONS}:/collections:ro", "--tmpfs", "/run", "--tmpfs", "/run/lock"]
    try:
        subprocess.run(
            [
                "docker",
                "run",
                "-d",
                "--name",
                name,
                *OPTIONS,
                *mounts,
                "-e",
                "container=docker",
                name,
                "/sbin/init",
            ],
            check=True,
            capture_output=True,
        )
        made = Machine(name)
        booted(made)
        yield made
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], check=False, capture_output=True)
        subprocess.run(["docker", "image", "rm", "-f", name], check=False, capture_output=True)


def booted(machine: Machine) -> None:
    """Wait for the end of the boot, as systemd tells it; before its bus answers it tells nothing."""
    script = "until systemctl is-system-running --wait | grep -E 'running|degraded'; do sleep 0.2; done"
    machine.run("timeout", "60", "sh", "-c", script)


def converge(machine: Machine, *, check: bool = False, state: str = "started", **more) -> list[str]:
    params = {**PLACE, "state": state, "services": [{**WEB, **more}]}
    found: list[str] = json.loads(
        machine.run("python3", "-c", CONVERGE, json.dumps(["services", check, params]))
    )
    return found


def pid(machine: Machine) -> str:
    return machine.run("systemctl", "show", "--property=MainPID", "--value", "axonos-blue-web").strip()


def test_a_unit_is_made_started_mended_and_stopped(machine: Machine) -> None:
    assert converge(machine, check=True) == ["web: not set up"]
    assert converge(machine) == ["web: not set up"]
    first = pid(machine)
    assert converge(machine, check=True) == converge(machine) == []
    assert pid(machine) == first
    assert machine.run("systemctl", "is-enabled", "axonos-blue-web").strip() == "enabled"
    assert machine.run("stat", "-c", "%U", f"/proc/{first}").strip() == "nobody"

    assert converge(machine, inputs="new code") == ["web: definition differs"]
    assert pid(machine) != first

    machine.run("systemctl", "stop", "axonos-blue-web")
    assert converge(machine, inputs="new code") == ["web: stopped"]

    unit = "/etc/systemd/system/axonos-blue-web.service"
    machine.run("sed", "-i", "s/RestartSec=1/RestartSec=2/", unit)
    assert converge(machine, inputs="new code") == ["web: definition differs"]
    assert "RestartSec=1" in machine.run("cat", unit)

    assert converge(machine, state="stopped") == ["web: stopped"]
    assert converge(machine, state="stopped") == []
    assert pid(machine) == "0"
    assert machine.run("systemctl", "is-enabled", "axonos-blue-web", check=False).strip() == "disabled"


def test_what_cannot_start_says_why_from_the_journal(machine: Machine) -> None:
    with pytest.raises(AssertionError, match=r"web did not start within 4 s\. It said: .*no such port"):
        converge(machine, command=["/bin/sh", "-c", "echo no such port; exit 1"], ready_s=4)
    converge(machine, state="stopped")


def test_a_service_comes_back_after_a_reboot(machine: Machine, tmp_path: Path) -> None:
    converge(machine)
    subprocess.run(["docker", "restart", machine.name], check=True, capture_output=True)
    booted(machine)
    assert converge(machine) == []


def test_what_was_stopped_with_the_instance_is_started_again_with_it(machine: Machine) -> None:
    """With its unit as it was, and at each boot again."""
    machine.run("mkdir", "-p", PLACE["state_dir"])
    converge(machine)
    params = {**PLACE, "services": [{"name": "web"}], "remember": True}

    def only_named(state: str) -> list[str]:
        asked = json.dumps(["services", False, {**params, "state": state}])
        return list(json.loads(machine.run("python3", "-c", CONVERGE, asked)))

    assert only_named("stopped") == ["web: stopped"]
    assert pid(machine) == "0"
    assert only_named("resumed") == ["web: stopped"]
    assert machine.run("systemctl", "is-enabled", "axonos-blue-web").strip() == "enabled"
    assert converge(machine) == only_named("resumed") == []

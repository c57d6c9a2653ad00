"""The peer of a session run: a playbook of Ansible's own modules that makes the same things.

A home, a network, a lease file, a container, and the wait until its desktop is painted; no firewall, no
checks, no fencing. Run by ansible-runner as our own cold runs are.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ansible_runner

from controller.bench.run_place import Place, docker
from controller.errors import AxonosError


def start_ms(
    place: Place,
    playbooks: Path,
    number: int,
    on_event: Callable[[dict[str, Any]], object],
    memory: str = "256m",
) -> float:
    """Milliseconds of one start. Nothing of it is left but the home, which goes with the place."""
    name, folder = f"{place.instance}-stock-{number}", place.state / "stock" / str(number)
    private = Path(tempfile.mkdtemp(prefix="stock-", dir=place.state))
    began = time.monotonic()
    try:
        ansible_runner.run(
            private_data_dir=str(private),
            playbook=[
                {"hosts": "all", "gather_facts": False, "tasks": _tasks(place, number, name, folder, memory)}
            ],
            inventory={"all": {"hosts": {"here": {"ansible_connection": "local"}}}},
            extravars={"ansible_python_interpreter": sys.executable},
            envvars={
                "ANSIBLE_CONFIG": str(playbooks / "ansible.cfg"),
                "PATH": f"{Path(sys.executable).parent}:/usr/sbin:{os.defpath}",
                "LC_ALL": "C.UTF-8",
            },
            event_handler=on_event,
            quiet=True,
        )
        return (time.monotonic() - began) * 1000
    finally:
        for what in (("rm", "-f", name), ("network", "rm", name)):
            with suppress(AxonosError):  # of a run that failed there may be less
                docker(*what)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(private)


def _tasks(place: Place, number: int, name: str, folder: Path, memory: str) -> list[dict[str, Any]]:
    place.slots.add(number)
    home, uid = place.home(number), place.host.session_uid
    container = [
        *("docker", "run", "-d", "--name", name, "--network", name, "--memory", memory, "--cpus", "1"),
        *("--user", f"{uid}:{uid}"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "128"),
        *("-v", f"{home}:/home/axon", "-v", f"{folder}:/run/desktop", place.image),
    ]
    return [
        {"ansible.builtin.file": {"path": str(folder), "state": "directory", "owner": str(uid)}},
        {
            "ansible.builtin.command": {
                "argv": ["btrfs", "subvolume", "create", str(home)],
                "creates": str(home),
            }
        },
        {"ansible.builtin.file": {"path": str(home), "state": "directory", "owner": str(uid)}},
        {"ansible.builtin.copy": {"content": f"{number}\n", "dest": str(folder / "lease"), "mode": "0600"}},
        {"ansible.builtin.command": {"argv": ["docker", "network", "create", name]}},
        {"ansible.builtin.command": {"argv": container}},
        {"ansible.builtin.wait_for": {"path": str(folder / "ready"), "timeout": 60}},
    ]

"""Runs playbooks such as `host.yml` on one machine by SSH: what changed has names, and so has a failure.

With the operator's key: root is needed there, which the platform's own key does not give to the worker.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible_runner

from controller.adapters.ssh_facts import KNOWN_HOSTS, ssh_facts
from controller.errors import HostNotConverged
from controller.services.ports_hosts import Converged
from controller.settings import Settings

LIMIT_S = 1800
PLAYBOOK = "host.yml"
_FAILED = ("runner_on_failed", "runner_on_unreachable")


class HostConvergence:
    """Implements `ports.Convergence`."""

    def __init__(self, settings: Settings, told: Callable[[str], None] = lambda _line: None) -> None:
        """Args: the platform's settings; where progress is told, a line a task that changed something."""
        self._settings, self._told = settings, told

    def run(
        self,
        name: str,
        address: str,
        login_key: Path,
        variables: dict[str, Any],
        *,
        check: bool = False,
        playbook: str = PLAYBOOK,
    ) -> Converged:
        """Bring a machine to the state of a host, or only look (`check`).

        Raises:
            HostNotConverged: with the task that failed and what it said.
        """
        changed: list[str] = []
        failed: list[str] = []

        def heard(event: dict[str, Any]) -> bool:
            self._hear(event, changed, failed)
            return False  # nothing is kept on disk

        private = Path(tempfile.mkdtemp(prefix="axonos-converge-"))
        try:
            done = ansible_runner.run(
                private_data_dir=str(private),
                playbook=str(self._settings.playbooks_dir / playbook),
                inventory=self._inventory(name, address, login_key),
                extravars=self._variables() | variables,
                cmdline="--check --diff" if check else "--diff",
                envvars=self._environment(private),
                event_handler=heard,
                settings={"job_timeout": LIMIT_S},
                quiet=True,
            )
        finally:
            shutil.rmtree(private, ignore_errors=True)
        if done.status != "successful":
            why = "; ".join(failed) or f"the run ended as {done.status}"
            raise HostNotConverged(f"{name} is not converged: {why}. Run it again: it continues.", host=name)
        return Converged(tuple(changed))

    def _hear(self, event: dict[str, Any], changed: list[str], failed: list[str]) -> None:
        data = event.get("event_data") or {}
        result = data.get("res") or {}
        if event.get("event") in _FAILED and not data.get("ignore_errors"):
            failed.append(f"{data.get('task', '?')}: {result.get('msg', 'no reason given')}")
        elif event.get("event") == "runner_on_ok" and result.get("changed"):
            for about in result.get("results") or [{}]:
                thing = about.get("path", "") if isinstance(about, dict) else ""
                changed.append(f"{data.get('task', '?')} ({thing})" if thing else str(data.get("task", "?")))
                self._told(changed[-1])

    def _inventory(self, name: str, address: str, login_key: Path) -> dict[str, Any]:
        facts = ssh_facts(address, self._settings.state_dir, default_user="root")
        known = self._settings.state_dir / KNOWN_HOSTS
        facts |= {
            "ansible_connection": "ssh",
            "ansible_ssh_private_key_file": str(login_key),
            "ansible_ssh_common_args": f"-o IdentitiesOnly=yes -o UserKnownHostsFile={known}",
            "ansible_become": facts["ansible_user"] != "root",
        }
        return {"all": {"children": {"gpu_hosts": {"hosts": {name: facts}}}}}

    def _variables(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "axonos_instance": settings.instance,
            "axonos_state_dir": str(settings.state_dir),
            "axonos_run_dir": str(settings.run_dir),
            "axonos_gateway_port": settings.gateway.port,
            "axonos_origin": settings.web.origin,
            "axonos_controller_url": settings.web.origin,
            **settings.storage.variables,
        }

    def _environment(self, private: Path) -> dict[str, str]:
        return {
            "ANSIBLE_CONFIG": str(self._settings.playbooks_dir / "ansible.cfg"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
            "ANSIBLE_NOCOLOR": "True",
            "ANSIBLE_SSH_RETRIES": "2",  # a kept connection may be to a machine booted since
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "LC_ALL": "C.UTF-8",
        }


def given(text: str) -> dict[str, Any]:
    """A variable of the command line, `NAME=VALUE`; a value that is JSON keeps its kind."""
    name, _, value = text.partition("=")
    try:
        return {name: json.loads(value)}
    except ValueError:
        return {name: value}

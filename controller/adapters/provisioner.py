"""Runs playbooks through ansible-runner: one private folder and one ident per run, both gone afterwards."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible_runner

from controller.services.ports import RunOutcome

log = logging.getLogger(__name__)
Event = dict[str, Any]


class AnsibleProvisioner:
    """Implements `ports.Provisioner`. Threads may share it."""

    def __init__(self, playbooks_dir: Path, state_dir: Path) -> None:
        """Args: where the playbooks and their ansible.cfg are; the instance's state folder, on every host."""
        self._playbooks, self._state = playbooks_dir, state_dir
        self._runs = state_dir / "runs"

    def run(
        self,
        *,
        run_id: int,
        playbook: str,
        host: dict[str, Any],
        variables: dict[str, Any],
        on_event: Callable[[Event], None],
        timeout_s: int,
    ) -> RunOutcome:
        self._runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        private = Path(tempfile.mkdtemp(prefix=f"run-{run_id}-", dir=self._runs))
        answer = _Answer()

        def heard(event: Event) -> bool:
            answer.hear(event)
            on_event(event)
            return False  # events go to the database; no file is kept

        try:
            runner = ansible_runner.run(
                private_data_dir=str(private),
                ident=str(run_id),
                playbook=str(self._playbooks / playbook),
                inventory=self._inventory(host),
                extravars=variables,
                envvars=self._environment(),
                event_handler=heard,
                timeout=timeout_s,
                quiet=True,
                suppress_env_files=True,
            )
        except Exception:
            log.exception("run %s: ansible-runner itself failed", run_id)
            return RunOutcome(succeeded=False, result={}, error_code="runner_error")
        else:
            return answer.outcome(str(runner.status))
        finally:
            shutil.rmtree(private, ignore_errors=True)

    def _inventory(self, host: dict[str, Any]) -> dict[str, Any]:
        facts = {
            "ansible_connection": host["connection"],
            "ansible_host": host["address"],
            "axonos_host_program": str(self._state / "venv/bin/axonos-host"),
            "axonos_host_config": str(self._state / "host.toml"),
        }
        if host["connection"] == "local":
            facts["ansible_python_interpreter"] = sys.executable
        return {"all": {"hosts": {host["name"]: facts}}}

    def _environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        return {
            "ANSIBLE_CONFIG": str(self._playbooks / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(self._runs / "ansible-tmp"),
            "PATH": f"{programs}:{os.defpath}",
            "LC_ALL": "C.UTF-8",
        }


class _Answer:
    """Picks the action plugin's answer, or the word for a failure before it, out of the events."""

    def __init__(self) -> None:
        self._result: dict[str, Any] = {}
        self._unreachable = False

    def hear(self, event: Event) -> None:
        kind = event.get("event")
        if kind == "runner_on_unreachable":
            self._unreachable = True
        if kind in ("runner_on_ok", "runner_on_failed"):
            found = (event.get("event_data") or {}).get("res", {}).get("axonos")
            if isinstance(found, dict):
                self._result = found

    def outcome(self, status: str) -> RunOutcome:
        if status == "successful" and self._result.get("ok"):
            return RunOutcome(succeeded=True, result=self._result)
        if status == "timeout":
            code = "timeout"
        elif self._unreachable:
            code = "host_unreachable"
        else:
            code = str(self._result.get("code") or "run_failed")
        return RunOutcome(succeeded=False, result=self._result, error_code=code)

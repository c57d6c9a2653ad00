"""Runs playbooks through ansible-runner: one private folder and one ident per run, both gone afterwards.

Warm where it can be (`controller/adapters/warm`): then the `ansible-playbook` that ansible-runner starts is
a fork of a server. Cold it is the real program. Both give the same events, the same answer, the same status.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible_runner
from ansible_runner.config.runner import RunnerConfig

from controller.adapters.run_answer import Answer, Stages
from controller.adapters.run_folders import RunFolders
from controller.adapters.run_terminal import use_prompt_terminal
from controller.adapters.ssh_facts import ssh_facts
from controller.adapters.warm import processes
from controller.adapters.warm.keeper import MAX_RUNS, WarmAnsible
from controller.services.ports import RunOutcome

log = logging.getLogger(__name__)
Event = dict[str, Any]
_OF_THE_RUN = ("AWX_ISOLATED_DATA_DIR", "ANSIBLE_CACHE_PLUGIN_CONNECTION")


class AnsibleProvisioner:
    """Implements `ports.Provisioner`. Threads may share it."""

    def __init__(
        self, playbooks_dir: Path, state_dir: Path, *, warm: bool = True, max_runs: int = MAX_RUNS
    ) -> None:
        """A warm server is started at once; runs before it is ready are cold.

        Args:
            playbooks_dir: where the playbooks and their ansible.cfg are.
            state_dir: the instance's state folder, on every host.
            warm: False to run every playbook by itself.
            max_runs: after so many the warm server is replaced.
        """
        use_prompt_terminal()
        self._playbooks, self._state = playbooks_dir, state_dir
        self._folders = RunFolders(state_dir / "runs")
        self.warm: WarmAnsible | None = None
        if warm:
            folder, environment = self._folders.folder / "warm", self._server_environment()
            self.warm = WarmAnsible(folder, playbooks_dir, environment, max_runs=max_runs)
            self.warm.start()

    def close(self) -> None:
        """End the warm server, and with it whatever still runs; nothing is left on disk."""
        if self.warm is not None:
            self.warm.close()
        self._folders.close()

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
        private: Path | None = None
        answer, stages = Answer(), Stages()

        def heard(event: Event) -> bool:
            stages.hear(event)
            answer.hear(event)
            on_event(event)
            return False  # events go to the database; no file is kept

        try:
            private = self._folders.make(f"run-{run_id}")
            _write(private / "inventory" / "hosts.json", self._inventory(host))
            _write(private / "env" / "extravars", variables)  # a process list shows arguments
            _write(private / "env" / "settings", {"pexpect_timeout": 1})  # how often it looks at the time
            runner = ansible_runner.run(
                private_data_dir=str(private),
                ident=str(run_id),
                playbook=str(self._playbooks / playbook),
                envvars=self._environment() | {processes.MARK: str(private / "way")},
                event_handler=heard,
                timeout=timeout_s,
                quiet=True,
                suppress_env_files=True,
            )
            way = _way(private)
            if runner.status != "successful":
                processes.kill_run(f"{private}/way")
            if self.warm and way.startswith("cold server"):
                self.warm.doubt()
        except Exception:
            log.exception("run %s: ansible-runner itself failed", run_id)
            return answer.broken()
        else:
            return answer.outcome(str(runner.status), runner.rc, way, stages.ended())
        finally:
            if private is not None:
                shutil.rmtree(private, ignore_errors=True)

    def _inventory(self, host: dict[str, Any]) -> dict[str, Any]:
        """The host, and where it gets a home from in the group `sources`, which no play is for."""
        sources = [host["source"]] if "source" in host else []
        children = {"sources": {"hosts": {one["name"]: self._facts(one) for one in sources}}}
        return {"all": {"hosts": {host["name"]: self._facts(host)}, "children": children}}

    def _facts(self, host: dict[str, Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "ansible_connection": host["connection"],
            "axonos_host_program": str(self._state / "venv/bin/axonos-host"),
            "axonos_host_config": str(self._state / "host.toml"),
        }
        if host["connection"] == "local":
            here = {"ansible_host": host["address"], "ansible_python_interpreter": sys.executable}
            return {**facts, **here, **host.get("variables", {})}
        return {**facts, **ssh_facts(host["address"], self._state)}

    def _environment(self) -> dict[str, str]:
        programs = [str(self.warm.programs)] if self.warm else []
        return {
            "ANSIBLE_CONFIG": str(self._playbooks / "ansible.cfg"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",  # ansible-runner's own default is not to look
            "ANSIBLE_LOCAL_TEMP": str(self._folders.folder / "tmp"),
            "ANSIBLE_NOCOLOR": "True",
            "PATH": ":".join([*programs, str(Path(sys.executable).parent), "/usr/sbin", "/sbin", os.defpath]),
            "LC_ALL": "C.UTF-8",
        }

    def _server_environment(self) -> dict[str, str]:
        """What ansible-runner would give to a run, without what is one run's alone."""
        private = self._folders.make("environment")
        config = RunnerConfig(private_data_dir=str(private), envvars=self._environment(), quiet=True)
        config.prepare_env()
        shutil.rmtree(private)
        return {name: value for name, value in config.env.items() if name not in _OF_THE_RUN}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(json.dumps(value))


def _way(private: Path) -> str:
    """`warm`, or `cold` and why; what the program that ansible-runner started wrote down."""
    try:
        return (private / "way").read_text()
    except OSError:
        return "cold"

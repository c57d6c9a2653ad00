"""A role of the controller's machine, run for real on an instance of the test's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import collection_kit  # noqa: F401
import pytest
from ansible_collections.axonos.platform.plugins.modules import services

from infra.inventory import inventory
from infra.playbook_process import Request, execute
from infra.stack_parts import Host

# With systemd it would write units of this machine.
BY_SUPERVISORD = pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="supervisord is needed")
PLAYBOOKS = Path(__file__).resolve().parents[1] / "playbooks"
VENV = Path(sys.executable).parents[1]
INSTANCE = "axrole"
PLAY = """
- name: Run one role
  hosts: local
  gather_facts: false
  vars_files: [vars/instance.yml]
  roles: [{role}]
"""
Converge = Callable[..., list[str]]


@contextmanager
def a_role(role: str, state: Path, *, service: str) -> Iterator[Converge]:
    """Gives `converge(**variables)`, which answers with what changed; the role's service ends with the block."""
    for folder in ("logs", "runs", "play"):
        (state / folder).mkdir()
    (state / "venv").symlink_to(VENV)
    for part in ("ansible.cfg", "roles", "collections", "vars"):
        (state / "play" / part).symlink_to(PLAYBOOKS / part)
    (state / "play" / "one.yml").write_text(PLAY.format(role=role))
    places = {"state_dir": str(state), "run_dir": str(state / "run")}

    def converge(**variables: object) -> list[str]:
        done = execute(
            Request(
                name="one",
                playbook=str(state / "play" / "one.yml"),
                inventory=inventory((Host(name="local"),)),
                variables={
                    "axonos_instance": INSTANCE,
                    **{f"axonos_{name}": value for name, value in places.items()},
                    **variables,
                },
                work_dir=str(state / "runs"),
                log_dir=str(state / "logs"),
                timeout_s=120,
            )
        )
        assert done.status == "successful", done.failed
        return done.changed

    try:
        yield converge
    finally:
        stop = {
            **places,
            "instance": INSTANCE,
            "services": [{"name": service}],
            "state": "stopped",
            "remember": False,
        }
        services.converge({**stop, "finish": True, "supervisord": str(VENV / "bin" / "supervisord")}, False)

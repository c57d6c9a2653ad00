"""The role that runs backups by the clock: converges once, and its service really backs up and proves it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import collection_kit  # noqa: F401
import pytest
from ansible_collections.axonos.platform.plugins.modules import services
from fakes import make_settings
from toml_kit import write_toml

from controller.backup import copies
from infra.inventory import inventory
from infra.playbook_process import Request, execute
from infra.stack_parts import Host

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="it would write a unit of this machine"),
]
PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"
VENV = Path(sys.executable).parents[1]
PLAY = """
- name: Prepare backups
  hosts: local
  gather_facts: false
  vars_files: [vars/instance.yml]
  roles: [backup]
"""
PATIENCE_S = 60


@pytest.fixture
def converge(tmp_path: Path, database: Any, database_url: str) -> Iterator[Callable[[], list[str]]]:
    """An instance of its own with this database; runs the role on it and returns what changed."""
    del database  # migrated
    for folder in ("pulumi", "logs", "runs", "play"):
        (tmp_path / folder).mkdir()
    (tmp_path / "venv").symlink_to(VENV)
    for part in ("ansible.cfg", "roles", "collections", "vars"):
        (tmp_path / "play" / part).symlink_to(PLAYBOOKS / part)
    (tmp_path / "play" / "backups.yml").write_text(PLAY)
    settings = make_settings(database_url).model_dump(mode="json", exclude={"local", "pricing"})
    write_toml(tmp_path / "axonos.toml", {**settings, "state_dir": str(tmp_path)})
    places = {"state_dir": str(tmp_path), "run_dir": str(tmp_path / "run")}
    named = {f"axonos_{name}": value for name, value in places.items()}
    request = Request(
        name="backups",
        playbook=str(tmp_path / "play" / "backups.yml"),
        inventory=inventory((Host(name="local"),)),
        variables={"axonos_instance": "axbackup", **named},
        work_dir=str(tmp_path / "runs"),
        log_dir=str(tmp_path / "logs"),
        timeout_s=120,
    )

    def run() -> list[str]:
        done = execute(request)
        assert done.status == "successful", done.failed
        return done.changed

    yield run
    stop = {**places, "instance": "axbackup", "services": [{"name": "backup"}], "state": "stopped"}
    services.converge({**stop, "finish": True, "supervisord": str(VENV / "bin" / "supervisord")}, False)


def test_it_converges_once_and_a_proved_backup_is_there(
    converge: Callable[[], list[str]], tmp_path: Path
) -> None:
    assert [thing.rpartition(" (")[0] for thing in converge()] == [
        "Create the folder of backups",
        "Run backups by the clock",
    ]
    assert converge() == []
    log, until = tmp_path / "logs" / "backup.log", time.monotonic() + PATIENCE_S
    while "for proof" not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)
    (taken,) = copies.listed(tmp_path / "backups")
    assert (tmp_path / "backups").stat().st_mode & 0o077 == 0
    assert taken.bytes > 1000

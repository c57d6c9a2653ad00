"""Roles of the controller's machine: each converges once, and what it leaves behind does its work."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fakes import make_settings
from role_kit import BY_SUPERVISORD, a_role
from toml_kit import write_toml

from controller.backup import copies

pytestmark = [pytest.mark.integration, BY_SUPERVISORD]
PATIENCE_S = 60


def says(log: Path, words: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while words not in (said := log.read_text()):
        assert time.monotonic() < until, said
        time.sleep(0.1)


def test_backups_are_taken_by_the_clock_and_proved(database: Any, database_url: str, tmp_path: Path) -> None:
    del database  # migrated
    (tmp_path / "pulumi").mkdir()
    settings = make_settings(database_url).model_dump(mode="json", exclude={"local", "pricing"})
    write_toml(tmp_path / "axonos.toml", {**settings, "state_dir": str(tmp_path)})
    with a_role("backup", tmp_path, service="backup") as converge:
        assert [thing.rpartition(" (")[0] for thing in converge()] == [
            "Create the folder of backups",
            "Run backups by the clock",
        ]
        assert converge() == []
        says(tmp_path / "logs" / "backup.log", "for proof")
    (taken,) = copies.listed(tmp_path / "backups")
    assert (tmp_path / "backups").stat().st_mode & 0o077 == 0
    assert taken.bytes > 1000


def test_elastic_pools_take_their_steps_by_the_clock(tmp_path: Path) -> None:
    """Round after round; this stack lacks nearly everything, which is told and keeps the service from nothing."""
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    (stacks / "gpu.toml").write_text('[aws]\n[[aws.pools]]\nname = "gpu"\nelastic = {cap = 2}\n')
    log = tmp_path / "logs" / "scale.log"
    with a_role("scaler", tmp_path, service="scale") as converge:
        assert converge(scaler__every_s=1) == [
            "Let elastic pools take their steps by the clock (scale: not set up)"
        ]
        assert converge(scaler__every_s=1) == []
        says(log, "gpu.toml")
        log.write_text("")
        says(log, "gpu.toml")
        (stopped,) = converge(scaler__running=False)
        assert stopped.endswith("(scale: stopped)")
        assert converge(scaler__running=False) == []


def test_homes_on_a_shared_file_system_stay_as_they_are(tmp_path: Path) -> None:
    shared = {"axonos_homes_shared": "files:/homes", "axonos_homes_shared_type": "tmpfs"}
    with a_role("homes", tmp_path, service="homes") as converge:
        assert converge(**shared) == [f"Mount the homes ({tmp_path}/homes: not mounted)"]
        try:
            (tmp_path / "homes" / "file").write_text("kept\n")
            assert converge(**shared) == []
            assert (tmp_path / "homes" / "file").read_text() == "kept\n"
        finally:
            subprocess.run(["umount", tmp_path / "homes"], check=True)

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.faults import Fault
from infra.first import machine
from infra.first.commands import run
from infra.first.environment import link_project
from infra.first.source import copy_source, listed_files, source_digest
from infra.instance import resolve

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "clone"
    (root / "infra").mkdir(parents=True)
    (root / "infra" / "a.py").write_text("one\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o700)
    (root / ".gitignore").write_text("made/\n")
    (root / "made").mkdir()
    (root / "made" / "x").write_text("not ours\n")
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


def test_the_copy_holds_what_git_would_and_is_readable_by_services(clone: Path, tmp_path: Path) -> None:
    target = tmp_path / "src"
    assert copy_source(clone, target) == 3
    assert listed_files(clone) == [".gitignore", "infra/a.py", "run"]
    assert not (target / "made").exists()
    assert (target / "run").stat().st_mode & 0o777 == 0o755
    assert (target / "infra" / "a.py").stat().st_mode & 0o777 == 0o644


def test_a_second_copy_changes_nothing_and_a_third_only_what_changed(clone: Path, tmp_path: Path) -> None:
    target = tmp_path / "src"
    copy_source(clone, target)
    before = source_digest(target)
    assert copy_source(clone, target) == 0
    (clone / "infra" / "a.py").unlink()
    (clone / "infra" / "b.py").write_text("two\n")
    assert copy_source(clone, target) == 2
    assert not (target / "infra" / "a.py").exists()
    assert source_digest(target) != before


def test_what_was_edited_by_hand_in_the_copy_is_put_right(clone: Path, tmp_path: Path) -> None:
    target = tmp_path / "src"
    copy_source(clone, target)
    (target / "infra" / "a.py").write_text("edited\n")
    assert copy_source(clone, target) == 1
    assert (target / "infra" / "a.py").read_text() == "one\n"


@pytest.fixture
def listener() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_named_with_its_holder(listener: int, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=f"Port {listener} \\(web\\) is taken by .*process {os.getpid()}"):
        machine.check_ports(resolve("blue", tmp_path, web_port=listener))


def test_a_port_that_the_instance_itself_holds_is_its_own(tmp_path: Path) -> None:
    program = "import socket,sys\ns=socket.create_server(('127.0.0.1',0))\nprint(s.getsockname()[1],flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"AXONOS_INSTANCE": "blue"},
    ) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        with (
            closing(socket.create_server(("127.0.0.1", 0))) as one,
            closing(socket.create_server(("127.0.0.1", 0))) as two,
        ):
            others = {
                "gateway_port": one.getsockname()[1],
                "chain_port": two.getsockname()[1],
            }
        machine.check_ports(resolve("blue", tmp_path, web_port=port, **others))
        with pytest.raises(Fault):
            machine.check_ports(resolve("green", tmp_path, web_port=port))
        child.communicate("")


def test_too_little_room_and_a_foreign_system_are_refused(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(Fault, match="GiB are needed"):
        machine.check_disk(resolve("blue", tmp_path, homes_gib=10_000_000))
    monkeypatch.setattr(
        "platform.freedesktop_os_release", lambda: {"ID": "arch", "PRETTY_NAME": "Arch Linux"}
    )
    with pytest.raises(Fault, match="Arch Linux is not supported"):
        machine.check_system(force=False)
    assert machine.check_system(force=True) == "Arch Linux"


def test_without_root_the_reader_is_told_what_to_do(monkeypatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Fault, match="sudo make up"):
        machine.check_root()


def test_a_failing_program_is_retried_and_its_last_words_are_told() -> None:
    told: list[str] = []
    with pytest.raises(Fault, match="The registry did not answer") as refused:
        run(
            ["sh", "-c", "echo timeout talking to the registry; exit 9"],
            what="The registry did not answer.",
            to_do="Check the network.",
            attempts=2,
            report=told.append,
            pause_s=0,
        )
    assert "timeout talking to the registry" in refused.value.message
    assert refused.value.status == 4
    assert told == ["The registry did not answer. Trying again (2 of 2)."]


def test_the_environment_runs_the_copy_with_its_commands(tmp_path: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = tmp_path / "venv" / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "venv" / "bin").mkdir()
    link_project(ROOT, tmp_path / "venv")
    assert (packages / "axonos.pth").read_text() == f"{ROOT}\n"
    (entries,) = packages.glob("axonos-*.dist-info/entry_points.txt")
    assert "up = infra.cli.up:up" in entries.read_text()
    program = tmp_path / "venv" / "bin" / "axonos"
    assert program.stat().st_mode & 0o777 == 0o755
    assert "from controller.cli.main import main" in program.read_text()


def test_bootstrap_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            "/usr/bin/python3",
            "-I",
            "-S",
            ROOT / "infra" / "bootstrap.py",
            "status",
            "--state",
            tmp_path / "none",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "Run `make up` first." in done.stderr

"""Whatever stops `make up` is told with what to do, ends with a documented status, and npm ends when told to."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from chainkit import free_port

from infra.cli.explained import explained
from infra.devchain import node
from infra.engine import OperationFailed
from infra.errors import CliUnavailable, ImageRefused, InfraError, Interrupted, StackBusy, StackConfigInvalid
from infra.faults import Fault

ROOT = Path(__file__).resolve().parents[2]
STOPPERS = [
    (OperationFailed("host-local: Run Docker: docker did not start within 30 s. It said: no iptables"), 1),
    (ImageRefused("The desktop image was not built: no space left."), 1),
    (CliUnavailable(), 4),
    (StackBusy(), 4),
    (StackConfigInvalid("two services on port 80"), 3),
    (Fault("Port 80 is taken.", "Choose another.", 3), 3),
    (OSError(errno.ENOSPC, "No space left on device", "/var/lib/axonos/x"), 1),
    (PermissionError(errno.EACCES, "Permission denied", "/etc/x"), 1),
    (Interrupted(), 130),
    (KeyboardInterrupt(), 130),
]


@pytest.mark.parametrize(("error", "status"), STOPPERS, ids=lambda value: type(value).__name__)
def test_it_says_what_and_what_to_do(error, status, capsys) -> None:
    with pytest.raises(SystemExit) as ended, explained(as_json=True):
        raise error
    assert ended.value.code == status
    out, err = capsys.readouterr()
    said = json.loads(out)["error"]["message"]
    assert said in err
    assert any(word in said for word in ("What to do: ", "Try again", "next run continues"))
    assert said.count("What to do") <= 1
    assert "Traceback" not in err
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        assert "disk is full" in said


def test_every_error_of_infra_says_what_to_do() -> None:
    for kind in [InfraError, *InfraError.__subclasses__()]:
        told = f"{kind.__doc__} {kind.to_do}"
        assert kind is Fault or any(
            word in told for word in ("then run it again", "Try again", "continues")
        ), kind


@pytest.fixture
def stuck_npm(tmp_path, monkeypatch):
    """A registry that never answers, as npm meets it."""
    program = tmp_path / "bin" / "node"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(node, "node_program", lambda: program)
    return tmp_path


def test_npm_ends_when_the_stage_is_told_to(stuck_npm) -> None:
    stop = threading.Event()

    def tell() -> None:
        while not (stuck_npm / "asked").exists():
            stop.wait(0.02)
        stop.set()

    thread = threading.Thread(target=tell)
    thread.start()
    with pytest.raises(Interrupted):
        node.install(stuck_npm / "node", stop=stop)
    thread.join()


def test_npm_that_hears_nothing_for_long_is_given_up(stuck_npm, monkeypatch) -> None:
    monkeypatch.setattr(node, "NPM_LIMIT_S", 0)
    with pytest.raises(node.NodeFailed, match="took too long"):
        node.install(stuck_npm / "node")


def make_up(code: Path, *words: str, user: int | None = None, path: str = os.defpath) -> tuple[int, str]:
    """`make up` as far as it comes; its exit status and what it said."""
    done = subprocess.run(
        ["/usr/bin/python3", code / "infra" / "bootstrap.py", "up", *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path},
        user=user,
    )
    return done.returncode, done.stderr


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="make up would ask for a password here")


@as_root
def test_without_root_and_sudo_nothing_is_touched() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are root's alone
        Path(folder).chmod(0o755)
        code, state = Path(folder, "code"), Path(folder, "state")
        shutil.copytree(ROOT / "infra", code / "infra", ignore=shutil.ignore_patterns("__pycache__"))
        status, said = make_up(code, "--state", str(state), user=65534, path="/nonexistent")
        assert (status, state.exists()) == (3, False)
    assert "This needs root" in said
    assert "sudo make up" in said


@as_root
def test_too_little_disk_is_told_before_anything_is_written(tmp_path) -> None:
    status, said = make_up(ROOT, "--force", "--state", str(tmp_path / "state"), "--homes-gib=10000000")
    assert (status, list(tmp_path.iterdir())) == (3, [])
    assert "GiB are needed" in said
    assert "What to do: Free some space" in said


@as_root
def test_a_taken_port_is_told_before_anything_is_written(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        words = ("--force", "--state", str(tmp_path / "state"), "--homes-gib=1", f"--web-port={port}")
        status, said = make_up(ROOT, *words)
    assert (status, list(tmp_path.iterdir())) == (3, [])
    assert f"Port {port} (web) is taken by" in said
    assert "What to do: Stop it, or choose another with --web-port" in said


@as_root
def test_two_at_once_do_not_get_in_each_others_way(tmp_path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with (state / "up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ports = [f"--{name}-port={free_port()}" for name in ("web", "gateway", "chain")]
        status, said = make_up(ROOT, "--force", "--state", str(state), "--homes-gib=1", *ports)
    assert status == 4
    assert "Another `up` is at work" in said

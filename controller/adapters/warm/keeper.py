"""Keeps a warm server running: starts it, again when it died, another one when it is stale or worn."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import controller
from controller.adapters.warm import client, server

log = logging.getLogger(__name__)
MAX_RUNS = 2_000
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
END_S = 5.0
ANSWER_S = 3.0


class WarmAnsible:
    """A folder with an `ansible-playbook` in it that is served warm, or cold while no server is ready."""

    def __init__(
        self, folder: Path, playbooks: Path, environment: Mapping[str, str], *, max_runs: int = MAX_RUNS
    ) -> None:
        """Nothing is started yet.

        Args:
            folder: of this process alone; made here.
            playbooks: where ansible.cfg and the collections are.
            environment: what ansible-runner gives to each run.
            max_runs: after so many a server is replaced.
        """
        self._max_runs = max_runs
        self._folder, self._playbooks, self._environment = folder, playbooks, dict(environment)
        self._closing = threading.Event()
        self.ready = threading.Event()
        self._number = 0
        self._serving: subprocess.Popen[str] | None = None
        self._all: list[subprocess.Popen[str]] = []
        self._thread = threading.Thread(target=self._keep, name="warm ansible", daemon=True)
        self.programs = folder / "bin"
        self.programs.mkdir(parents=True, mode=0o700)
        _write_client(self.programs / "ansible-playbook", folder)

    @property
    def pid(self) -> int | None:
        """The serving process; None while there is none."""
        return self._serving.pid if self._serving and self._serving.poll() is None else None

    def start(self) -> None:
        """Start keeping. Runs are cold until the first server is ready."""
        self._thread.start()

    def doubt(self) -> None:
        """A run could not reach the server. If nobody can, it is ended and another one started."""
        process = self._serving
        if process is None or process.poll() is not None or self._answers():
            return
        log.warning("warm ansible: server %s does not answer and is ended", process.pid)
        process.kill()  # runs in work come to their end without it

    def _answers(self) -> bool:
        folder = os.open(self._folder, os.O_PATH | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX) as question:
                question.settimeout(ANSWER_S)
                question.connect(f"/proc/self/fd/{folder}/current")
                question.shutdown(socket.SHUT_WR)
                return question.recv(1) == b""
        except OSError:
            return False
        finally:
            os.close(folder)

    def close(self) -> None:
        """End all servers, and with them what still runs in them."""
        self._closing.set()
        for process in self._all:
            _end(process)
        if self._thread.is_alive():
            self._thread.join(timeout=END_S)
        for process in self._all:  # also one that was just being started
            _end(process)
            _close_pipes(process)

    def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._closing.is_set():
            said = self._follow(self._spawn())
            if said in ("stale", "worn"):
                log.info("warm ansible: %s, another server takes over", said)
                pause = FIRST_PAUSE_S
            elif not self._closing.is_set():
                log.warning("warm ansible: the server ended; runs are cold for %.0f s or more", pause)
                self._closing.wait(pause)
                pause = FIRST_PAUSE_S if said == "ready" else min(pause * 2, LONGEST_PAUSE_S)

    def _spawn(self) -> subprocess.Popen[str]:
        self._number += 1
        where = [str(self._playbooks), str(self._folder), f"server-{self._number}", str(self._max_runs)]
        process = subprocess.Popen(
            [sys.executable, "-m", server.__name__, *where],
            cwd=Path(controller.__file__).parents[1],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._all = [old for old in self._all if old.poll() is None] + [process]
        return process

    def _follow(self, process: subprocess.Popen[str]) -> str:
        """Until the server needs another one in its place. Returns the last thing it said."""
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said = line.strip()
            if said != "ready":
                return said
            self._switch_to(process)
        process.wait()
        _close_pipes(process)
        if process is self._serving:
            self.ready.clear()
        return said

    def _switch_to(self, process: subprocess.Popen[str]) -> None:
        before, self._serving = self._serving, process
        fresh = self._folder / "current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"server-{self._number}")
        fresh.replace(self._folder / "current")
        self.ready.set()
        log.info("warm ansible: server %s is ready", process.pid)
        if before is not None:
            threading.Thread(target=_drain, args=(before,), name="warm ansible drain", daemon=True).start()


def _write_client(program: Path, folder: Path) -> None:
    """The client with its constants, run by this very interpreter without anything it does not need."""
    source = Path(client.__file__).read_text()
    real = Path(sys.executable).parent / "ansible-playbook"
    for name, value in (("FOLDER", str(folder)), ("PLAYBOOK", str(real))):
        source = source.replace(f'{name} = ""', f"{name} = {value!r}", 1)
    program.write_text(f"#!{sys.executable} -IS\n{source}")
    program.chmod(0o700)


def _drain(process: subprocess.Popen[str]) -> None:
    """Let a server finish what it runs."""
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):  # it ended meanwhile
        process.stdin.write("drain\n")
        process.stdin.flush()
    process.wait()
    _close_pipes(process)


def _end(process: subprocess.Popen[str]) -> None:
    """The end of its input ends the server and its runs."""
    _close_pipes(process, "stdin")
    try:
        process.wait(timeout=END_S)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, 9)
        process.wait()


def _close_pipes(process: subprocess.Popen[str], *names: str) -> None:
    for name in names or ("stdin", "stdout"):
        with contextlib.suppress(OSError):  # what was left in it can be told to nobody
            getattr(process, name).close()

"""Runs one playbook through ansible-runner in a process of its own, and reports how it ended.

A process of its own because the plugin that asks is full of gRPC threads, which do not survive a fork.
`python -m infra.playbook_process` reads a `Request` as JSON from standard input and writes an `Outcome`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from infra.orphans import end_workers
from infra.playbook_events import Outcome, log_line, take
from infra.providers.parent import end_with_parent

LOOK_EVERY_S = 0.2
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Request:
    """One run: what, where, with which variables. `check` only looks, it changes nothing."""

    name: str
    playbook: str
    inventory: dict[str, Any]
    variables: dict[str, Any]
    work_dir: str
    log_dir: str
    timeout_s: int
    check: bool = False

    @property
    def log(self) -> Path:
        """Where the run's events go, the last run's only."""
        return Path(self.log_dir) / f"playbook-{self.name}{'-check' if self.check else ''}.jsonl"


def execute(request: Request, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    """Run the playbook to its end.

    Args:
        request: what to run.
        stopped: asked several times a second; True ends the run early, its status is then `canceled`.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "infra.playbook_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        start_new_session=True,
    ) as child:
        said, complained = _end_of(child, json.dumps(asdict(request)), stopped)
    if child.returncode:
        return Outcome(failed=[f"the run of {request.name} broke off: {complained.strip()[-500:]}"])
    return Outcome(**json.loads(said.splitlines()[-1]))


def _end_of(child: subprocess.Popen[str], question: str, stopped: Callable[[], bool]) -> tuple[str, str]:
    """Both outputs of the child, which is told once if it is to end early."""
    told, text = False, question
    while True:
        try:
            return child.communicate(text or None, timeout=LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            text = ""
        except KeyboardInterrupt:
            child.send_signal(signal.SIGTERM)
            child.communicate()
            raise
        if not told and stopped():
            child.send_signal(signal.SIGTERM)
            told = True


def run(request: Request, log: TextIO) -> Outcome:
    """The child's side: ansible-runner with its events to the log, its files removed afterwards."""
    import ansible_runner  # noqa: PLC0415  half a second that only the child pays

    outcome, started, gone = Outcome(), time.monotonic(), threading.Event()
    end_with_parent(gone.set)
    signal.signal(signal.SIGTERM, lambda *_: gone.set())

    def on_event(event: dict[str, Any]) -> bool:
        take(outcome, event)
        log.write(json.dumps(log_line(event)) + "\n")
        log.flush()
        return False

    with tempfile.TemporaryDirectory(dir=request.work_dir, prefix=f"{request.name}-") as private:
        done = ansible_runner.run(
            private_data_dir=private,
            project_dir=str(Path(request.playbook).parent),
            playbook=request.playbook,
            inventory=request.inventory,
            extravars=request.variables,
            cmdline="--check --diff" if request.check else "--diff",
            envvars=_environment(Path(request.playbook).parent),
            event_handler=on_event,
            cancel_callback=gone.is_set,
            settings={"job_timeout": request.timeout_s},
            quiet=True,
        )
        if done.status in {"canceled", "timeout"}:
            end_workers(private)
    outcome.status, outcome.seconds = str(done.status), round(time.monotonic() - started, 2)
    return outcome


def _environment(folder: Path) -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    wanted = {
        "PATH": programs,
        "ANSIBLE_HOST_KEY_CHECKING": "True",  # ansible-runner's own default is not to look
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_NOCOLOR": "1",
    }
    config = folder / "ansible.cfg"
    return {**wanted, "ANSIBLE_CONFIG": str(config)} if config.exists() else wanted


def main() -> None:
    """Read the request, run it, write the outcome as the last line."""
    request = Request(**json.load(sys.stdin))
    for folder in (request.work_dir, request.log_dir):
        Path(folder).mkdir(parents=True, exist_ok=True)
    with request.log.open("w") as log:
        os.fchmod(log.fileno(), 0o640)
        outcome = run(request, log)
    sys.stdout.write("\n" + json.dumps(outcome.as_json()) + "\n")


if __name__ == "__main__":
    main()

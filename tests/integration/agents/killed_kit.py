"""The controller as it runs: gunicorn and a worker as processes, killed as a power cut kills them, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from toml_kit import write_toml

from controller.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
HOST_PROGRAM = """#!{python}
# A host program whose shells are files.
import json, pathlib, sys, time
request = json.load(sys.stdin)
shell = pathlib.Path({state!r}) / ("shell-" + request.get("slot", ""))
now = int(time.time() * 1000)
if sys.argv[1] == "start":
    answer = {{"ok": True, "changed": not shell.exists(), "container_id": "c1", "started_at_ms": now,
               "ready_at_ms": now, "stages": {{}}, "host_key": {host_key!r}}}
    shell.touch()
else:
    answer = {{"ok": True, "changed": shell.exists(), "stopped_at_ms": now}}
    shell.unlink(missing_ok=True)
print(json.dumps(answer))
"""


@dataclass
class Controller:
    """Site and worker of one platform; `folder` is its state directory."""

    settings: Settings
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def install(self, host_key: str) -> None:
        """Write what the processes read: the settings, and a host program for this machine."""
        program = self.folder / "venv" / "bin" / "axonos-host"
        program.parent.mkdir(parents=True)
        program.write_text(
            HOST_PROGRAM.format(python=sys.executable, state=str(self.folder), host_key=host_key)
        )
        program.chmod(0o755)
        write_toml(
            self.folder / "axonos.toml", self.settings.model_dump(mode="json", exclude={"local", "pricing"})
        )

    def start(self) -> None:
        """Start both, and wait until the site answers."""
        site = [
            *("-m", "gunicorn", f"--bind=127.0.0.1:{self.settings.web.port}", "--workers=1"),
            *("--worker-class=gthread", "--threads=8", "--no-control-socket", "controller.app:wsgi()"),
        ]
        for name, words in (("site", site), ("worker", ["-m", "controller.worker"])):
            with (self.folder / f"{name}.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, *words],
                    cwd=ROOT,
                    env={**os.environ, "AXONOS_CONFIG": str(self.folder / "axonos.toml")},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.processes.append(process)
        eventually(self._answers, self.said)

    def kill(self) -> None:
        """SIGKILL to both with all their children: nothing is tidied up."""
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)
        self.processes.clear()

    def said(self) -> str:
        return "\n".join(file.read_text()[-3000:] for file in sorted(self.folder.glob("*.log")))

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.settings.web.origin}/healthz", timeout=5).ok
        except requests.RequestException:
            return False


def eventually(found: Callable[[], Any], why: Callable[[], str] = str, patience_s: float = 60) -> Any:
    """What is found, once it is there; says why where it never is."""
    until = time.monotonic() + patience_s
    while not (value := found()):
        assert time.monotonic() < until, f"it did not come to that\n{why()}"
        time.sleep(0.05)
    return value

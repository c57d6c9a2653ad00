"""One container of the image under the limits of a real session, for as long as it is being tried out."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from images.desktop.errors import VerifyFailed

UID = 7000
READY_S = 30
SECCOMP = Path(__file__).parents[2] / "controller" / "host" / "seccomp.json"
LIMITS = (
    *("--network", "none", "--shm-size", "1g", "--memory", "3g", "--pids-limit", "1024", "--cpus", "2"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)


class Trial:
    """A running desktop. `with Trial(image) as desktop:`; container and folders are gone afterwards."""

    def __init__(self, image: str, geometry: str = "1280x800", home: Path | None = None) -> None:
        """Args: the image's ID, its screen size, and a home of an earlier session (default: an empty one)."""
        self.image, self.geometry, self._home = image, geometry, home
        self.name = f"axonos-image-trial-{secrets.token_hex(4)}"
        self.folder = Path(tempfile.mkdtemp(prefix="axonos-image-"))
        self.home, self.sockets = home or self.folder / "home", self.folder / "run"
        self.started_ms = 0.0
        self.ready: dict[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _start(self) -> None:
        self.folder.chmod(0o711)
        for path in (self.home, self.sockets):
            path.mkdir(exist_ok=True, mode=0o700)
            os.chown(path, UID, UID)
        begin = time.monotonic()
        docker("run", "--detach", "--name", self.name, *LIMITS, *self._mounts(), self.image)
        self.ready = self._wait_ready(begin)
        self.started_ms = (time.monotonic() - begin) * 1000

    def _mounts(self) -> list[str]:
        seccomp = ["--security-opt", f"seccomp={SECCOMP}"] if SECCOMP.is_file() else []
        volumes = ["--volume", f"{self.sockets}:/run/desktop", "--volume", f"{self.home}:/home/axon"]
        settings = {"AXONOS_GEOMETRY": self.geometry, "AXONOS_GPUS": "1", "AXONOS_SIMULATED": "1"}
        return [
            *seccomp,
            *volumes,
            *(part for item in settings.items() for part in ("--env", "=".join(item))),
        ]

    def _wait_ready(self, begin: float) -> dict[str, Any]:
        file = self.sockets / "ready"
        while time.monotonic() - begin < READY_S:
            if file.is_file():
                found: dict[str, Any] = json.loads(file.read_text())
                return found
            if not self.running():
                break
            time.sleep(0.005)
        raise VerifyFailed(f"The desktop was not painted. Its last words:\n{self.log()[-1500:]}")

    def running(self) -> bool:
        """Whether the container still runs."""
        return docker("inspect", "--format", "{{.State.Running}}", self.name).strip() == "true"

    def log(self) -> str:
        """What the session has said so far."""
        done = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def inside(self, *command: str, text: str = "") -> str:
        """Run a program in the container to its end; returns its output."""
        return docker("exec", "--interactive", self.name, *command, text=text)

    def spawn(self, *command: str) -> None:
        """Start a program in the container and leave it running."""
        docker("exec", "--detach", self.name, *command)

    def stop(self, limit_s: int) -> tuple[float, int]:
        """End the session; returns the seconds it took and the container's exit status."""
        begin = time.monotonic()
        docker("stop", "--time", str(limit_s), self.name)
        took = time.monotonic() - begin
        return took, int(docker("inspect", "--format", "{{.State.ExitCode}}", self.name))

    def remove(self) -> None:
        """Remove the container and its folders; a home that was brought along stays."""
        subprocess.run(["docker", "rm", "--force", self.name], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def docker(*arguments: str, text: str = "") -> str:
    """Call Docker.

    Raises:
        VerifyFailed: with what Docker said.
    """
    done = subprocess.run(["docker", *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VerifyFailed(f"docker {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout

"""An installed instance, as its operator reaches it: the first command, the last one, and `axonos`."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = "axtest"
UP_LIMIT_S = 1500


@dataclass(frozen=True)
class Platform:
    """A running instance in local mode."""

    settings: Settings

    @property
    def origin(self) -> str:
        return self.settings.web.origin

    def axonos(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the instance's own `axonos`."""
        program = self.settings.state_dir / "venv" / "bin" / "axonos"
        config = self.settings.state_dir / "axonos.toml"
        return subprocess.run(
            [program, *arguments],
            env={**os.environ, "AXONOS_CONFIG": str(config)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def home(self, wallet: str) -> Path:
        """Where a wallet's files lie on the host."""
        return self.settings.host.homes_dir / wallet.lower()


def first_command(*arguments: str, limit_s: int) -> dict[str, Any]:
    """What `make up` and `make down` start, for the tests' own instance; their JSON."""
    done = subprocess.run(
        ["/usr/bin/python3", ROOT / "infra" / "bootstrap.py", *arguments, "--instance", INSTANCE, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    assert done.returncode == 0, f"{arguments[0]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    found: dict[str, Any] = json.loads(lines[-1])
    return found

"""Benches that live in the source tree, under `tests/bench`: meter, stream, load, drift, x402.

They bring their own PostgreSQL, oracle or crowd; an installed platform carries none of that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from controller.bench.figures import Outcome
from controller.errors import Refused

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    ROOT / "tests" / "bench",
    *(ROOT / "tests" / "integration" / kit for kit in ("sessions", "fleet", "host", "agents")),
    ROOT / "tests" / "integration",
    ROOT / "tests",
    ROOT,
)


def run(name: str, words: list[str]) -> Outcome:
    """Run the bench in a process of its own; its progress goes to standard error.

    Args:
        name: the bench's folder.
        words: the bench's own options.

    Raises:
        Refused: there is no source tree, or the bench itself broke off.
    """
    return outcome(started(name, words))


def started(name: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    """The bench's process once it has ended, with what it printed.

    Raises:
        Refused: there is no source tree.
    """
    program = FOLDERS[0] / name / "__main__.py"
    return _ran(program, ["-m", name, *words], {"PYTHONPATH": os.pathsep.join(map(str, FOLDERS))})


def started_file(program: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """The same for a bench that is one file.

    Raises:
        Refused: there is no source tree.
    """
    return _ran(program, [str(program), *words], {})


def _ran(program: Path, words: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    if not program.is_file():
        raise Refused(f"This benchmark is part of the source tree; there is none around {ROOT}.")
    command = [sys.executable, *words]
    return subprocess.run(command, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True, check=False)


def outcome(done: subprocess.CompletedProcess[str]) -> Outcome:
    """What the bench found: the last line that it printed.

    Raises:
        Refused: it broke off.
    """
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise Refused("The bench broke off; what it said last stands above.") from error
    goals = {name: (sign, number) for name, (sign, number) in found["goals"].items()}
    how = "; ".join([found["how"], *(f"failed: {line}" for line in found.get("failures", ())[:5])])
    return Outcome(found["name"], found["figures"], goals, how)

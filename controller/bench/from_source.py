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


def run(name: str, words: list[str], *, quiet: bool) -> Outcome:
    """Run the bench in a process of its own.

    Args:
        name: the bench's folder.
        words: the bench's own options.
        quiet: keep its progress to itself.

    Raises:
        Refused: there is no source tree, or the bench itself broke off.
    """
    if not (FOLDERS[0] / name / "__main__.py").is_file():
        raise Refused(f"This benchmark is part of the source tree; there is none around {ROOT}.")
    done = subprocess.run(
        [sys.executable, "-m", name, *words, *(["--quiet"] if quiet else [])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, FOLDERS))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        said = (done.stderr or "").strip().splitlines()[-1:]
        raise Refused(f"The bench broke off: {' '.join(said) or 'see above'}") from error
    goals = {name: (sign, number) for name, (sign, number) in found["goals"].items()}
    how = "; ".join([found["how"], *(f"failed: {line}" for line in found["failures"][:5])])
    return Outcome(found["name"], found["figures"], goals, how)

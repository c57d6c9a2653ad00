"""`axonos bench deposits`: every hostile deposit under many orders. The bench is `tests/bench/deposits`.

It brings its own PostgreSQL and anvil and an oracle that shares nothing with the product; an installed
platform carries none of that, so this only finds the source tree and runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.bench.figures import Outcome
from controller.errors import Refused

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (ROOT / "tests" / "bench", ROOT / "tests", ROOT)


@dataclass(frozen=True)
class Wish:
    """What to run: `case` is a part of names, or one name with `seed`; None stands for the default."""

    interleavings: int
    case: str | None = None
    jobs: int | None = None
    node: Path | None = None

    def words(self) -> list[str]:
        """The bench's own options."""
        given = {"case": self.case, "jobs": self.jobs, "node": self.node}
        chosen = [f"--{name}={value}" for name, value in given.items() if value is not None]
        return [f"--interleavings={self.interleavings}", *chosen]


def run(wish: Wish, *, quiet: bool) -> Outcome:
    """Run the bench in a process of its own; with the defaults about an hour on two quiet cores.

    Args:
        wish: which cases, and under how many orders each.
        quiet: keep its progress to itself.

    Raises:
        Refused: there is no source tree, or the bench itself broke off.
    """
    done = _started([*wish.words(), *(["--quiet"] if quiet else [])], quiet=quiet)
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        said = (done.stderr or "").strip().splitlines()[-1:]
        raise Refused(f"The bench broke off: {' '.join(said) or 'see above'}") from error
    goals = {name: (sign, number) for name, (sign, number) in found["goals"].items()}
    how = "; ".join([found["how"], *(f"failed: {line}" for line in found["failures"][:5])])
    return Outcome(found["name"], found["figures"], goals, how)


def again(case: str, seed: int) -> int:
    """Play one seed of one case again, alone; its steps go to standard error. Returns the exit status.

    Raises:
        Refused: there is no source tree.
    """
    done = _started([f"--case={case}", f"--seed={seed}"], quiet=False)
    sys.stdout.write(done.stdout)
    return done.returncode


def _started(words: list[str], *, quiet: bool) -> subprocess.CompletedProcess[str]:
    if not (FOLDERS[0] / "deposits" / "__main__.py").is_file():
        raise Refused(f"This benchmark is part of the source tree; there is none around {ROOT}.")
    return subprocess.run(
        [sys.executable, "-m", "deposits", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, FOLDERS))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )

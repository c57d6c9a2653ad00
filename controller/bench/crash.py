"""`axonos bench crash`: kills every process at every step. The bench itself is `tests/chaos`, in the sources.

It brings its own PostgreSQL, Docker engine and processes, wrapped so that they can be killed at a step; an
installed platform carries none of that, so this only finds the source tree and runs it.
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

PROGRAM = Path(__file__).resolve().parents[2] / "tests/chaos/crash_run.py"


def run(runs: int, seed: int, only: int | None, *, quiet: bool, dead_controller: bool) -> Outcome:
    """Run the bench in a process of its own; it needs root and about ten seconds for four runs.

    Args:
        runs: at least so many.
        seed: gives the order of faults and steps.
        only: the number of one batch, to see it again.
        quiet: keep its progress to itself.
        dead_controller: at the end, also leave the controller dead until the last lease is over.

    Raises:
        Refused: not root, no source tree, or the bench itself broke off.
    """
    if os.geteuid() != 0:
        raise Refused("This benchmark starts an engine, mounts and processes to kill: run it as root.")
    if not PROGRAM.is_file():
        raise Refused(
            f"This benchmark is part of the source tree; there is none around {PROGRAM.parents[2]}."
        )
    chosen = [f"--runs={runs}", f"--seed={seed}"]
    chosen += [] if only is None else [f"--only={only}"]
    chosen += ["--dead-controller"] if dead_controller else []
    done = subprocess.run(
        [sys.executable, PROGRAM, *chosen],
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
    return Outcome(found["name"], found["figures"], goals, found["how"])

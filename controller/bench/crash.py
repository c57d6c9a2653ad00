"""`axonos bench crash`: kills every process at every step. The bench itself is `tests/chaos`, in the sources.

It brings its own PostgreSQL, Docker engine and processes, wrapped so that they can be killed at a step; an
installed platform carries none of that, so this only finds the source tree and runs it.
"""

from __future__ import annotations

import os
from pathlib import Path

from controller.bench import from_source
from controller.bench.figures import Outcome
from controller.errors import Refused

PROGRAM = Path(__file__).resolve().parents[2] / "tests/chaos/crash_run.py"


def run(runs: int, seed: int, only: int | None, *, dead_controller: bool) -> Outcome:
    """Run the bench in a process of its own; it needs root and about ten seconds for four runs.

    Args:
        runs: at least so many.
        seed: gives the order of faults and steps.
        only: the number of one batch, to see it again.
        dead_controller: at the end, also leave the controller dead until the last lease is over.

    Raises:
        Refused: not root, no source tree, or the bench itself broke off.
    """
    if os.geteuid() != 0:
        raise Refused("This benchmark starts an engine, mounts and processes to kill: run it as root.")
    chosen = [f"--runs={runs}", f"--seed={seed}"]
    chosen += [] if only is None else [f"--only={only}"]
    chosen += ["--dead-controller"] if dead_controller else []
    return from_source.outcome(from_source.started_file(PROGRAM, chosen))

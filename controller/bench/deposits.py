"""`axonos bench deposits`: every hostile deposit under many orders. The bench is `tests/bench/deposits`.

It brings its own PostgreSQL and anvil and an oracle that shares nothing with the product; an installed
platform carries none of that, so this only finds the source tree and runs it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from controller.bench import from_source
from controller.bench.figures import Outcome


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


def run(wish: Wish) -> Outcome:
    """Run the bench in a process of its own; with the defaults about an hour on two quiet cores.

    Args:
        wish: which cases, and under how many orders each.

    Raises:
        Refused: there is no source tree, or the bench itself broke off.
    """
    return from_source.run("deposits", wish.words())


def again(case: str, seed: int) -> int:
    """Play one seed of one case again, alone; its steps go to standard error. Returns the exit status.

    Raises:
        Refused: there is no source tree.
    """
    done = from_source.started("deposits", [f"--case={case}", f"--seed={seed}"])
    sys.stdout.write(done.stdout)
    return done.returncode

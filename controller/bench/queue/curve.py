"""What a tighter promise costs: a cell under several slacks, and the main cell's knee, which is the default.

A promise near the planned start is worth more to who waits, and makes every top-up and every early start on
promised GPUs a conflict: more sessions end at their guarantee, and more GPUs wait for what was planned.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from controller.bench.figures import Outcome
from controller.bench.queue.compare import MOST_CUT, Measured, figures, side_by_side
from controller.bench.queue.policies import FirstFit, Promise
from controller.bench.queue.workload import Cell
from controller.domain.planner import Policy

MINUTE_MS = 60_000
LEAST_SPARED = 0.001
# Percent of the planned wait, and minutes for each GPU, that a promise is wider than the plan.
SLACKS = ((0, 0), (25, 30), (50, 60), (100, 120), (200, 240))


def run(cell: Cell, count: int, seeds: int, told: Callable[[str], None]) -> Outcome:
    """The trade-off's figures over paired seeds, each slack's under its own name.

    Args:
        cell: the setting; the knee is a goal in the main one.
        count: people in all; each seed gets its share.
        seeds: how many.
        told: gets a line for each slack.
    """
    shipped = Policy(turnaround_ms=cell.turnaround_ms)
    each, numbers = count // seeds, range(1, seeds + 1)
    fitted = list(side_by_side((cell, each, seed, FirstFit()) for seed in numbers))
    found: dict[str, float] = {}
    cuts: dict[int, float] = {}
    for percent, minutes in SLACKS:
        policy = replace(shipped, slack_share=percent / 100, slack_ms=minutes * MINUTE_MS)
        promised = list(side_by_side((cell, each, seed, Promise(policy)) for seed in numbers))
        at = _at(promised, fitted)
        found |= {f"slack_{minutes}_{name}": value for name, value in at.items()}
        cuts[minutes] = at["cut_ratio"]
        told(f"slack {percent} % + {minutes} min for each GPU: {at}")
    found["knee_slack_min"] = knee(cuts)
    how = (
        f"cell {cell.name}, {count} requests over {seeds} paired seeds for each slack (percent of the planned"
        f" wait + minutes for each GPU: {', '.join(f'{p} % + {m}' for p, m in SLACKS)}); the knee is the"
        f" tightest promise under which at most {MOST_CUT:.1%} of all sessions end at a guarantee and the"
        f" next wider one spares less than {LEAST_SPARED:.1%}"
    )
    goals = {f"slack_{minutes}_promises_kept_ratio": ("==", 1.0) for _, minutes in SLACKS}
    if cell.name == "main":
        goals["knee_slack_min"] = ("==", shipped.slack_ms // MINUTE_MS)
    return Outcome(f"queue/curve/{cell.name}", found, goals, how)


def knee(cuts: dict[int, float]) -> int:
    """The slack from which on a wider one is hardly worth its later promises.

    Args:
        cuts: the ratio of sessions cut under each slack, tightest first.

    Returns:
        the slack; -1, which is none, where all of them cut too many or the widest still spares many.
    """
    for (slack, ratio), (_, wider) in pairwise(cuts.items()):
        if ratio <= MOST_CUT and ratio - wider < LEAST_SPARED:
            return slack
    return -1


def _at(promised: list[Measured], fitted: list[Measured]) -> dict[str, float]:
    """The figures that a slack moves, and how many minutes a promise lies ahead at the median."""
    all_of = figures(promised, fitted, fitted[0])
    ahead = [
        (p.latest_ms - p.given_ms) / MINUTE_MS for one in promised for p in one.schedule.promises.values()
    ]
    names = ("promises_kept_ratio", "cut_ratio", "gpu8_p99_ratio", "gpu1_mean_extra_min", "utilisation_delta")
    return {name: all_of[name] for name in names} | {
        "promised_wait_p50_min": round(statistics.median(ahead), 1)
    }

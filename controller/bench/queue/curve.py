"""What a setting of the planner trades for what, and where the knee is: a cell under several of its values.

A promise near the planned start is worth more to who waits, and makes every top-up and every early start on
promised GPUs a conflict: more sessions end at their guarantee, and more GPUs wait for what was planned. A
drain that closes its host harder shortens the longest waits of large claims, and lengthens everybody else's.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

from controller.bench.figures import Outcome
from controller.bench.queue.compare import MOST_CUT, WORTH, Measured, figures, side_by_side
from controller.bench.queue.policies import FirstFit, Promise, Prototype
from controller.bench.queue.workload import MINUTE_MS, Cell
from controller.bench.queue.world import Policy as Queue
from controller.domain.planner import Policy
from controller.domain.planner.timeline import NEVER

LEAST_SPARED = 0.001
MOST = 10_000.0
# Percent of the planned wait, and minutes for each GPU, that a promise is wider than the plan.
SLACKS = ((0, 0), (25, 30), (50, 60), (100, 120), (200, 240))
DEFAULT = "default"
MOVED = (
    "promises_kept_ratio",
    "cut_ratio",
    "gpu8_p99_ratio",
    "gpu1_mean_extra_min",
    "mean_extra_min",
    "utilisation_delta",
)
Told = Callable[[str], None]


def of_slack(cell: Cell, count: int, seeds: int, told: Told) -> Outcome:
    """What a tighter promise costs, over paired seeds, each slack's figures under its own name.

    Args:
        cell: the setting; the knee is a goal in the main one.
        count: people in all; each seed gets its share.
        seeds: how many.
        told: gets a line for each slack.
    """
    shipped = Policy(turnaround_ms=cell.turnaround_ms)
    slacks = {
        f"slack_{minutes}": replace(shipped, slack_share=percent / 100, slack_ms=minutes * MINUTE_MS)
        for percent, minutes in SLACKS
    }
    queues = {name: Promise(policy) for name, policy in slacks.items()}
    found = _swept(cell, count, seeds, queues, told)
    cuts = {minutes: found[f"slack_{minutes}_cut_ratio"] for _, minutes in SLACKS}
    found["knee_slack_min"] = knee(cuts)
    how = (
        f"cell {cell.name}, {count} requests over {seeds} paired seeds for each slack (percent of the planned"
        f" wait + minutes for each GPU: {', '.join(f'{p} % + {m}' for p, m in SLACKS)}); the knee is the"
        f" tightest promise under which at most {MOST_CUT:.1%} of all sessions end at a guarantee and the"
        f" next wider one spares less than {LEAST_SPARED:.1%}"
    )
    goals = {f"{name}_promises_kept_ratio": ("==", 1.0) for name in slacks}
    if cell.name == "main":
        goals["knee_slack_min"] = ("==", shipped.slack_ms // MINUTE_MS)
    return Outcome(f"queue/curve/slack/{cell.name}", found, goals, how)


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


def of_drain(cell: Cell, count: int, seeds: int, told: Told) -> Outcome:
    """What a drain that closes harder gives a Max and takes from a Small, softest first.

    Args:
        cell: the setting; that the knee is the default is a goal in the main one.
        count: people in all; each seed gets its share.
        seeds: how many.
        told: gets a line for each drain.
    """
    closing = drains(cell)
    queues: dict[str, Queue] = {name: Promise(policy) for name, policy in closing.items()}
    queues["prototype"] = Prototype(cell.turnaround_ms)
    found = _swept(cell, count, seeds, queues, told)
    waits = {name: (found[f"{name}_mean_min"], found[f"{name}_gpu8_p99_min"]) for name in closing}
    found["default_best_from"], found["default_best_to"] = best_between(waits.pop(DEFAULT), waits.values())
    shipped = closing[DEFAULT]
    firm, hard = shipped.firm_after_ms // MINUTE_MS, shipped.hard_after_ms // MINUTE_MS
    how = (
        f"cell {cell.name}, {count} requests over {seeds} paired seeds for each drain: never more than soft,"
        f" firm but never hard, the default (firm after {firm} minutes, hard after {hard}), hard at once"
        " after 20 and after 8 hours; and for the policy's prototype. The default is the best of the drains"
        " where from `default_best_from` to `default_best_to` minutes of a Max's 99th percentile are worth"
        f" one of everybody's mean wait; {WORTH} are the goals' own rate"
    )
    goals: dict[str, tuple[str, float]] = {f"{name}_promises_kept_ratio": ("==", 1.0) for name in closing}
    if cell.name == "main":
        goals |= {"default_best_from": ("<=", WORTH), "default_best_to": (">=", WORTH)}
    return Outcome(f"queue/curve/drain/{cell.name}", found, goals, how)


def best_between(ours: tuple[float, float], others: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """At which rates of exchange a point of the trade-off is the best: where the curve's knee is.

    Args:
        ours: everybody's mean wait, and a Max's 99th percentile.
        others: the curve's other points.

    Returns:
        from and up to how many minutes of the second that are worth one of the first; from more than up to
        where it is nowhere the best. `MOST` stands for any number.
    """
    least, most = 0.0, MOST
    for mean, slowest in others:
        dearer, slower = ours[0] - mean, ours[1] - slowest
        if dearer <= 0 < slower:
            least = max(least, slower / -dearer if dearer else MOST)
        elif slower <= 0 < dearer:
            most = min(most, -slower / dearer)
        elif dearer > 0:
            return MOST, 0.0
    return round(least, 1), round(most, 1)


def drains(cell: Cell) -> dict[str, Policy]:
    """The planner's settings under which a drain closes its host ever harder."""
    shipped = Policy(turnaround_ms=cell.turnaround_ms)
    return {
        "soft": replace(shipped, firm_after_ms=NEVER, hard_after_ms=NEVER),
        "firm": replace(shipped, hard_after_ms=NEVER),
        DEFAULT: shipped,
        "hard_after_20_h": _hard_after(shipped, 1_200),
        "hard_after_8_h": _hard_after(shipped, 480),
    }


def _hard_after(policy: Policy, minutes: int) -> Policy:
    return replace(policy, firm_after_ms=minutes * MINUTE_MS, hard_after_ms=minutes * MINUTE_MS)


def _swept(cell: Cell, count: int, seeds: int, queues: Mapping[str, Queue], told: Told) -> dict[str, float]:
    """The figures under each policy, on the same people."""
    each, numbers = count // seeds, range(1, seeds + 1)
    fitted = list(side_by_side((cell, each, seed, FirstFit()) for seed in numbers))
    found: dict[str, float] = {}
    for name, queue in queues.items():
        promised = list(side_by_side((cell, each, seed, queue) for seed in numbers))
        at = _at(promised, fitted)
        found |= {f"{name}_{figure}": value for figure, value in at.items()}
        told(f"{name}: {at}")
    return found


def _at(promised: list[Measured], fitted: list[Measured]) -> dict[str, float]:
    """The figures that a setting moves, and how many minutes a promise lies ahead at the median."""
    all_of = figures(promised, fitted, fitted[0])
    ahead = [
        (p.latest_ms - p.given_ms) / MINUTE_MS for one in promised for p in one.schedule.promises.values()
    ]
    return {name: all_of[name] for name in MOVED} | {
        "promised_wait_p50_min": round(statistics.median(ahead), 1),
        "mean_min": round(statistics.fmean(one.mean_of_all for one in promised), 1),
        "gpu8_p99_min": round(statistics.fmean(one.p99(8) for one in promised), 1),
    }


CURVES = {"slack": of_slack, "drain": of_drain}

"""What a crash bench counted, and its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import crash_oracle as oracle
from crash_watcher import Watcher

CONVERGE_GOAL_S = 10
DEAD_GOAL_S = 10
NONE = ("orphans", "untrue_states", "double_gpus", "billed_without_proof_ms", "bills_that_do_not_add_up")


@dataclass
class Tally:
    """What was found so far."""

    runs: int = 0
    batches: int = 0
    not_reached: int = 0
    orphans: int = 0
    untrue: int = 0
    converge_s: list[float] = field(default_factory=list)
    dead_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def outcome(tally: Tally, watcher: Watcher, dsn: str) -> dict:
    """The bench's JSON object; what oracle and watcher found is added to the tally's problems."""
    unproved = oracle.unproved(dsn, watcher.lives)
    doubles = oracle.doubles(watcher.gpus, watcher.lives)
    crossed = oracle.crossed(dsn)
    tally.problems += [f"{session}: {ms} ms billed without proof" for session, ms in unproved]
    tally.problems += doubles + crossed
    figures = {
        "runs": tally.runs,
        "batches": tally.batches,
        "steps_not_reached": tally.not_reached,
        "orphans": tally.orphans,
        "untrue_states": tally.untrue,
        "double_gpus": len(doubles),
        "billed_without_proof_ms": sum(ms for _, ms in unproved),
        "bills_that_do_not_add_up": len(crossed),
        "converge_p50_s": _rank(tally.converge_s, 0.50),
        "converge_p99_s": _rank(tally.converge_s, 0.99),
    }
    goals = {name: ["<=", 0] for name in NONE} | {"converge_p99_s": ["<=", CONVERGE_GOAL_S]}
    if tally.dead_s:
        figures["dead_controller_after_lease_s"] = round(max(tally.dead_s), 1)
        goals["dead_controller_after_lease_s"] = ["<=", DEAD_GOAL_S]
    ok = all(figures[name] <= goal for name, (_, goal) in goals.items()) and not tally.problems
    return {"name": "crash", "figures": figures, "goals": goals, "ok": ok}


def _rank(values: list[float], share: float) -> float:
    ranked = sorted(values)
    return round(ranked[math.ceil(share * len(ranked)) - 1], 1) if ranked else 0.0

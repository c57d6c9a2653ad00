"""`python -m deposits`: all cases under many orders, or one seed of one case again. Prints one JSON object."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from postgres_kit import Cluster, run_cluster

from deposits.cases.table import CASES
from deposits.crew import Tally, all_cases, free_ports
from deposits.delay import delays
from deposits.play import play
from deposits.stage import make_template, run_stage
from infra.devchain.node import anvil_program, install

ROOT = Path(__file__).resolve().parents[3]
# An installed platform keeps npm's packages beside its sources; a checkout below itself.
NODE = next((f for f in (ROOT.parent / "node",) if anvil_program(f).is_file()), ROOT / ".build" / "node")
# Half of its time a process waits for its database or its chain: two of them fill a core.
JOBS = min(2 * (os.cpu_count() or 1), 16)
DEPOSITS_TIMED = 40
LEAST_CASES, LEAST_ORDERS, MOST_DELAY_S = 60, 100, 2.0


def main() -> int:
    """Entry of the program; 1 where a goal is missed or the seed fails."""
    logging.disable(logging.CRITICAL)  # thousands of faults on purpose would each be told
    wanted = _arguments()
    if wanted.list:
        print("\n".join(CASES))
        return 0
    if not anvil_program(wanted.node).is_file():
        install(wanted.node)
    with run_cluster("autovacuum=off") as cluster:
        if wanted.seed is not None:
            return _again(cluster, wanted)
        found = _measure(cluster, wanted)
    print(json.dumps(found))
    return 0 if found["ok"] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deposits", description=__doc__)
    parser.add_argument(
        "--interleavings", type=int, default=LEAST_ORDERS, help="distinct orders for each case"
    )
    parser.add_argument("--case", help="only cases whose name contains this")
    parser.add_argument("--seed", type=int, help="play one seed of one case, and print its steps")
    parser.add_argument("--jobs", type=int, default=JOBS, help="processes")
    parser.add_argument("--node", type=Path, default=NODE, help="where npm's packages are")
    parser.add_argument("--list", action="store_true", help="print the cases' names")
    return parser.parse_args()


def _again(cluster: Cluster, wanted: argparse.Namespace) -> int:
    """One seed of one case, alone, with its steps."""
    make_template(cluster)
    with run_stage(cluster, anvil_program(wanted.node), free_ports()) as stage:
        result = play(CASES[wanted.case], wanted.seed, stage)
    print(*result.order, "", f"faults: {result.faults or 'none'}", sep="\n", file=sys.stderr)
    found = {
        "case": result.case,
        "seed": result.seed,
        "mode": result.mode,
        "steps": result.steps,
        "order": result.order_hash,
        "problems": result.problems,
        "ok": result.ok,
    }
    print(json.dumps(found))
    return 0 if result.ok else 1


def _measure(cluster: Cluster, wanted: argparse.Namespace) -> dict[str, Any]:
    def told(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    names = [name for name in CASES if (wanted.case or "") in name]
    anvil = anvil_program(wanted.node)
    tallies = all_cases(
        names, wanted.interleavings, cluster=cluster, anvil=anvil, jobs=wanted.jobs, told=told
    )
    with run_stage(cluster, anvil, free_ports()) as stage:
        late = sorted(delays(stage, DEPOSITS_TIMED))
    return _outcome(tallies, late, wanted)


def _outcome(tallies: list[Tally], late: list[float], wanted: argparse.Namespace) -> dict[str, Any]:
    def total(name: str) -> int:
        return sum(getattr(tally, name) for tally in tallies)

    figures: dict[str, float] = {
        "cases": len(tallies),
        "interleavings": total("orders"),
        "interleavings_least": min(tally.orders for tally in tallies),
        "credited_once": total("credited"),
        "in_suspense": total("suspense"),
        "waiting": total("waiting"),
        "lost": total("lost"),
        "doubled": total("doubled"),
        "drift_wei": total("drift_wei"),
        "failed": total("failed"),
        "credit_delay_p95_s": round(late[-(-95 * len(late) // 100) - 1], 3),
        "credit_delay_max_s": round(late[-1], 3),
    }
    goals: dict[str, tuple[str, float]] = {
        "cases": (">=", LEAST_CASES),
        "interleavings_least": (">=", LEAST_ORDERS),
        **dict.fromkeys(("lost", "doubled", "drift_wei", "failed"), ("<=", 0)),
        "credit_delay_p95_s": ("<=", MOST_DELAY_S),
    }
    reached = all(
        figures[name] >= number if sign == ">=" else figures[name] <= number
        for name, (sign, number) in goals.items()
    )
    how = (
        f"each case under {wanted.interleavings} orders of steps, no order counted twice, on anvil and PostgreSQL;"
        f" seeds take watchers, pasted hashes and both in turn; {wanted.jobs} processes;"
        f" {DEPOSITS_TIMED} deposits timed on a chain with a block each second"
    )
    failures = [line for tally in tallies for line in tally.failures]
    return {
        "name": "deposits",
        "figures": figures,
        "goals": goals,
        "ok": reached,
        "how": how,
        "failures": failures,
    }


if __name__ == "__main__":
    sys.exit(main())

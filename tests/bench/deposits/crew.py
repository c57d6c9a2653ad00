"""Many interleavings of many cases at once: processes with a stage each, and what they found put together."""

from __future__ import annotations

import logging
import multiprocessing
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from postgres_kit import Cluster

from deposits.cases.table import CASES
from deposits.play import play
from deposits.scene import Result
from deposits.stage import Stage, make_template, run_stage

# Of an order that was seen before nothing is learnt: another seed is tried, up to so many in all.
TRIES_FOR_EACH = 3
TOLD = 3


@dataclass
class Tally:
    """What came of one case. `orders` counts distinct orders of steps; `failures` says how to see one again."""

    case: str
    tried: int = 0
    orders: int = 0
    credited: int = 0
    suspense: int = 0
    waiting: int = 0
    lost: int = 0
    doubled: int = 0
    drift_wei: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one interleaving."""
        verdict = result.verdict
        self.tried += 1
        self.credited += verdict.credited
        self.suspense += verdict.suspense
        self.waiting += verdict.waiting + verdict.below
        self.lost += len(verdict.lost)
        self.doubled += len(verdict.doubled)
        self.drift_wei += verdict.drift_wei
        if not result.ok:
            self.failed += 1
            told = f"--case {result.case} --seed {result.seed} ({result.mode}; {', '.join(result.faults) or 'no fault'})"
            self.failures += [f"{told}: {result.problems[0]}"] if len(self.failures) < TOLD else []


def free_ports() -> Iterator[int]:
    """Ports that nobody listens on."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        yield port


def interleave(name: str, count: int, stage: Stage, first_seed: int = 0) -> Tally:
    """Play a case until `count` distinct orders were tried."""
    tally, orders = Tally(name), set[str]()
    for seed in range(first_seed, first_seed + TRIES_FOR_EACH * count):
        if len(orders) == count:
            break
        result = play(CASES[name], seed, stage)
        orders.add(result.order_hash)
        tally.add(result)
    tally.orders = len(orders)
    return tally


_opened = ExitStack()
_stage: Stage | None = None


def _open(socket_dir: Path, anvil: Path) -> None:
    global _stage  # noqa: PLW0603 - one process, one stage
    logging.disable(logging.CRITICAL)  # thousands of faults on purpose would each be told
    _stage = _opened.enter_context(run_stage(Cluster(socket_dir), anvil, free_ports()))


def _work(task: tuple[str, int]) -> Tally:
    assert _stage
    return interleave(*task, _stage)


def all_cases(
    names: Sequence[str], count: int, *, cluster: Cluster, anvil: Path, jobs: int, told: Callable[[str], None]
) -> list[Tally]:
    """Every case, `count` distinct orders each, on `jobs` processes."""
    make_template(cluster)
    tasks = [(name, count) for name in sorted(names, key=lambda name: -CASES[name].claims)]
    done: list[Tally] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, _open, (cluster.socket_dir, anvil)) as pool:
        for tally in pool.imap_unordered(_work, tasks):
            done.append(tally)
            told(f"{len(done)}/{len(tasks)} {tally.case}: {tally.orders} orders, {tally.failed} failed")
            for failure in tally.failures:
                told(f"   {failure}")
    return done

"""A day on all cores: parts of it side by side, and days with planted faults, in processes of their own."""

from __future__ import annotations

import itertools
import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context

from postgres_kit import Cluster

from meter.day import Day, Lived, live
from meter.oracle import Verdict
from meter.plants import PLANTS
from meter.world import Counts


@contextmanager
def crew(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of their own, also for what breaks the product on purpose; their work is dropped if ours fails."""
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def lives(cluster: Cluster, day: Day, name: str, began: float) -> Lived:
    """A day; its progress is told in seconds since `began`."""
    logging.disable(logging.CRITICAL)

    def told(text: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {name}: {text}", file=sys.stderr, flush=True)

    return live(cluster, day, told=told)


def is_found(cluster: Cluster, name: str, seed: int) -> bool:
    """Whether the oracle finds anything in a small day with a planted fault."""
    logging.disable(logging.CRITICAL)
    return bool(live(cluster, Day(seed=seed), PLANTS[name]).verdict.findings)


def shares(day: Day, jobs: int) -> list[Day]:
    """A day in as many parts, each a platform of its own with its share of all sessions and hosts."""
    ends = [day.sessions * n // jobs for n in range(jobs + 1)]
    counts = [end - begin for begin, end in itertools.pairwise(ends)]
    hosts = max(1, day.hosts // jobs)
    return [replace(day, sessions=count, hosts=hosts, seed=day.seed + n) for n, count in enumerate(counts)]


def summed(parts: list[Lived]) -> Lived:
    """All parts as one."""
    verdict, counts = Verdict(), Counts()
    for part in parts:
        verdict.error_gpu_ms += part.verdict.error_gpu_ms
        verdict.grace_error_ms += part.verdict.grace_error_ms
        verdict.used_gpu_ms += part.verdict.used_gpu_ms
        verdict.findings += part.verdict.findings
        counts = Counts(**{name: value + vars(part.counts)[name] for name, value in vars(counts).items()})
    return Lived(verdict, counts, sum(part.ended for part in parts))

"""One simulated day in a database of its own, from the stories to the oracle's verdict."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from postgres_kit import Cluster

from controller.migrations import migrate
from meter.oracle import Verdict, judge
from meter.stories import HOUR, stories
from meter.world import Counts, World

_numbers = itertools.count(1)
# Processes die and connections break in a simulated day, the machine does not: no commit waits for the disk.
HASTY = "ALTER DATABASE {name} SET synchronous_commit = off"
Plant = Callable[[World], Callable[[], None] | None]


@dataclass(frozen=True)
class Day:
    """How much happens; the defaults are a small one, for tests and planted faults."""

    sessions: int = 60
    length_ms: int = 5 * HOUR
    step_ms: int = 300_000
    hosts: int = 3
    seed: int = 1


@dataclass(frozen=True)
class Lived:
    """What came of a day."""

    verdict: Verdict
    counts: Counts
    ended: int


@contextmanager
def fresh_database(cluster: Cluster, *, hasty: bool = False) -> Iterator[str]:
    """A migrated database that is gone afterwards; its URL. `hasty`: commits do not wait for the disk."""
    name = f"meter_{os.getpid()}_{next(_numbers)}"
    cluster.run(f"CREATE DATABASE {name}")
    if hasty:
        cluster.run(HASTY.format(name=name))
    try:
        migrate(cluster.url(name))
        yield cluster.url(name)
    finally:
        cluster.run(f"DROP DATABASE {name} WITH (FORCE)")


def live(
    cluster: Cluster, day: Day, plant: Plant | None = None, told: Callable[[str], None] = lambda _: None
) -> Lived:
    """Live a day; `plant` puts a fault into the product first, and may return how to take it out again."""
    with fresh_database(cluster, hasty=True) as url:
        world = World(url, stories(day.sessions, day.hosts, day.length_ms, day.seed), day.seed)
        undo = plant(world) if plant else None
        try:
            world.play(day.length_ms, day.step_ms, told)
        finally:
            if undo:
                undo()
            world.close()
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            truths = world.truths()
            verdict = judge(truths, connection)
        return Lived(verdict, world.counts, sum(truth.mode == "ended" for truth in truths))

"""`axonos bench run`: what a session run costs, warm and cold, in turn with a playbook of stock modules."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.bench import stock_run
from controller.bench.figures import Outcome, p50, p99
from controller.bench.run_place import START_TIMEOUT_S, Place

AT_ONCE = 4  # as many as a worker does
SUSTAINED_AT_LEAST, SUSTAINED_AT_MOST = 12, 60
WHOLE = {
    "playbook_on_start",
    "playbook_on_play_start",
    "playbook_on_task_start",
    "runner_on_ok",
    "playbook_on_stats",
}
GOALS = {"warm_p50_ms": ("<=", 700.0), "warm_p99_ms": ("<=", 1200.0), "starts_per_s": (">=", 3.0)}


@dataclass
class Series:
    """Runs of one kind: their milliseconds, and how many had every event and ended well in the way wanted."""

    ms: list[float] = field(default_factory=list)
    whole: int = 0

    def add(self, ms: float, kinds: set[str], *, well: bool) -> None:
        """Count a run; one that lacks an event is no run."""
        self.ms.append(ms)
        self.whole += well and kinds >= WHOLE


@dataclass
class Measure:
    """All series over one place. `by_way` is the platform's own provisioner, `told` hears the progress."""

    place: Place
    playbooks: Path
    by_way: dict[str, Callable[..., Any]]
    told: Callable[[str], None]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self, way: str, into: Series) -> int:
        """Start one desktop; its number."""
        number = next(self.numbers)
        self._play(way, "session_start.yml", number, self.place.start(number), into)
        return number

    def stop(self, way: str, number: int, into: Series) -> None:
        """Stop it again."""
        self._play(way, "session_stop.yml", number, self.place.stop(number), into)

    def stock(self, into: Series) -> None:
        """The same by stock modules."""
        kinds: set[str] = set()
        number = next(self.numbers)
        ms = stock_run.start_ms(self.place, self.playbooks, number, lambda e: kinds.add(e["event"]))
        into.add(ms, kinds, well="runner_on_failed" not in kinds)

    def sustained(self, starts: int, into: Series) -> float:
        """Starts per second, as many at once as a worker does."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            began = time.monotonic()
            numbers = list(pool.map(lambda _: self.start("warm", into), range(starts)))
            took_s = time.monotonic() - began
            list(pool.map(lambda number: self.stop("warm", number, Series()), numbers))
        return round(starts / took_s, 2)

    def _play(self, way: str, playbook: str, number: int, request: dict[str, Any], into: Series) -> None:
        kinds: set[str] = set()
        began = time.monotonic()
        outcome = self.by_way[way](
            run_id=number,
            playbook=playbook,
            host={"name": "bench", "connection": "local", "address": "127.0.0.1"},
            variables={"session_request": request},
            on_event=lambda event: kinds.add(event["event"]),
            timeout_s=START_TIMEOUT_S,
        )
        ms = (time.monotonic() - began) * 1000
        into.add(ms, kinds, well=outcome.succeeded and outcome.way == way)
        if not outcome.succeeded:
            self.told(f"{playbook}: {outcome.error_code}: {outcome.result.get('message', '')}")
        elif outcome.way != way:
            self.told(f"{playbook}: {outcome.way}: {outcome.way_why}")


def run(measure: Measure, runs: int) -> Outcome:
    """Measure.

    Args:
        measure: the place, and the platform's provisioner both ways.
        runs: starts of each kind, interleaved.
    """
    warm, cold, stock, stops, many = (Series() for _ in range(5))
    for i in range(runs):
        for way, series in (("warm", warm), ("cold", cold)):
            measure.stop("warm", measure.start(way, series), stops)
        measure.stock(stock)
        measure.told(
            f"{i + 1} of {runs}: warm {warm.ms[-1]:.0f}, cold {cold.ms[-1]:.0f}, stock {stock.ms[-1]:.0f} ms"
        )
    starts_per_s = measure.sustained(min(max(runs, SUSTAINED_AT_LEAST), SUSTAINED_AT_MOST), many)
    figures = {
        "warm_p50_ms": p50(warm.ms),
        "warm_p99_ms": p99(warm.ms),
        "cold_p50_ms": p50(cold.ms),
        "stock_p50_ms": p50(stock.ms),
        "stop_p50_ms": p50(stops.ms),
        "starts_per_s": starts_per_s,
        "runs": sum(len(series.ms) for series in (warm, cold, stock, stops, many)),
        "whole": sum(series.whole for series in (warm, cold, stock, stops, many)),
    }
    return Outcome(
        name="run",
        figures=figures,
        goals={**GOALS, "whole": ("==", figures["runs"])},
        how=f"{runs} starts of each kind through ansible-runner with every event, in turn, of a container"
        " whose desktop is painted at once; then the warm ones four at a time. Warm and cold are"
        " session_start.yml; stock is Ansible's own modules for home, network, lease, container and wait",
    )

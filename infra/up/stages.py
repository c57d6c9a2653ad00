"""Runs stages: those that depend on each other in order, the others side by side. Knows not what they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from infra.errors import Interrupted
from infra.reporting import Report

Results = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One step. `work` gets a way to report and the results of the stages named in `needs`."""

    name: str
    title: str
    work: Callable[[Report, Results], Any]
    needs: tuple[str, ...] = ()


class Show(Protocol):
    """Where progress is seen."""

    def begin(self, stage: Stage) -> None: ...
    def report(self, stage: Stage, line: str) -> None: ...
    def end(self, stage: Stage, seconds: float, problem: str | None) -> None: ...


def run_stages(stages: Sequence[Stage], show: Show, stop: threading.Event) -> Results:
    """Run every stage, each as soon as what it needs is there.

    Args:
        stages: names are unique, every need is among them.
        show: told what happens.
        stop: set on the first failure and on Ctrl-C; stages end early when they see it.

    Returns:
        Each stage's result by name.

    Raises:
        Interrupted: by Ctrl-C, after the running stages have ended.
        Exception: the first failure, after the running stages have ended.
    """
    results: Results = {}
    waiting = list(stages)
    running: dict[Future[Any], Stage] = {}
    failure: Exception | None = None
    with ThreadPoolExecutor(max_workers=len(stages), thread_name_prefix="stage") as pool:
        try:
            while running or (waiting and failure is None):
                for stage in [s for s in waiting if failure is None and set(s.needs) <= set(results)]:
                    waiting.remove(stage)
                    running[pool.submit(_run, stage, dict(results), show)] = stage
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    stage = running.pop(future)
                    try:
                        results[stage.name] = future.result()
                    except Exception as error:  # noqa: BLE001 -- the first one is raised below
                        failure = failure or error
                        stop.set()
        except KeyboardInterrupt:
            stop.set()
            wait(running)
            raise Interrupted from None
    if failure is not None:
        raise failure
    return results


def _run(stage: Stage, results: Results, show: Show) -> Any:
    started = time.monotonic()
    show.begin(stage)
    try:
        found = stage.work(lambda line: show.report(stage, line), results)
    except BaseException as error:
        show.end(stage, time.monotonic() - started, str(error) or type(error).__name__)
        raise
    show.end(stage, time.monotonic() - started, None)
    return found

"""How stages are shown: live lines on a terminal, plain lines elsewhere, nothing with `--json`."""

from __future__ import annotations

import threading
import time
from typing import Self

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from infra.up.stages import Stage


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, stage: Stage) -> None:
        pass

    def report(self, stage: Stage, line: str) -> None:
        pass

    def end(self, stage: Stage, seconds: float, problem: str | None) -> None:
        pass


class Lines(Silence):
    """One line per event, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def begin(self, stage: Stage) -> None:
        self._say(f"{stage.title}: begun")

    def report(self, stage: Stage, line: str) -> None:
        self._say(f"{stage.title}: {line}")

    def end(self, stage: Stage, seconds: float, problem: str | None) -> None:
        self._say(f"{stage.title}: {'done' if problem is None else 'ended early'} in {seconds:.1f} s")

    def _say(self, text: str) -> None:
        with self._lock:
            click.echo(f"[{time.monotonic() - self._started:6.1f} s] {text}")


class Live(Silence):
    """A line per stage with a spinner, its latest report and its seconds."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("[bold]{task.description}"),
            TextColumn("[dim]{task.fields[line]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, stage: Stage) -> None:
        self._tasks[stage.name] = self._progress.add_task(stage.title, total=1, line="")

    def report(self, stage: Stage, line: str) -> None:
        self._progress.update(self._tasks[stage.name], line=line.splitlines()[0][:80] if line else "")

    def end(self, stage: Stage, seconds: float, problem: str | None) -> None:  # noqa: ARG002
        line = "" if problem is None else "[red]ended early"
        self._progress.update(self._tasks[stage.name], completed=1 if problem is None else 0, line=line)
        self._progress.stop_task(self._tasks[stage.name])


def choose(*, as_json: bool) -> Silence:
    """The way that fits where the output goes."""
    console = Console()
    if as_json:
        return Silence()
    return Live(console) if console.is_terminal else Lines()

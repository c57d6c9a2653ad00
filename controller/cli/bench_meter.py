"""`axonos bench meter`: is every GPU-millisecond billed once, and how long does a tick take."""

from __future__ import annotations

import click

from controller.bench import from_source
from controller.cli.bench_output import show


@click.command()
@click.option("--sessions", default=10_000, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--hours", default=24.0, show_default=True, type=click.FloatRange(1), help="Simulated.")
@click.option("--step-s", default=300, show_default=True, type=click.IntRange(2), help="Between two ticks.")
@click.option("--jobs", type=click.IntRange(1), help="Platforms side by side; one for each core, at most 4.")
@click.option("--seed", default=1, show_default=True, help="Decides people, clocks and faults.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def meter(sessions: int, hours: float, step_s: int, jobs: int | None, seed: int, *, as_json: bool) -> None:
    """A day of many sessions with kills, restarts and stepped clocks; an oracle recomputes every bill.

    Needs the source tree; brings its own PostgreSQL. Faults planted in the product must be found.
    Progress goes to standard error.
    """
    words = [f"--sessions={sessions}", f"--hours={hours}", f"--step-s={step_s}", f"--seed={seed}"]
    words += [f"--jobs={jobs}"] if jobs else []
    show(from_source.run("meter", words), as_json=as_json)

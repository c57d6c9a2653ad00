"""`axonos bench queue`: simulated people at the planner, or a trace replayed through it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from controller.bench.queue import compare, curve, scale, trace
from controller.bench.queue.workload import CELLS
from controller.cli.bench_output import show, tell
from controller.domain.planner import Policy


@click.command()
@click.option(
    "--cell",
    default="main",
    show_default=True,
    type=click.Choice([*CELLS, "fleet"]),
    help="What is simulated.",
)
@click.option(
    "--requests", "count", default=100_000, show_default=True, type=click.IntRange(100), help="People."
)
@click.option(
    "--seeds", default=4, show_default=True, type=click.IntRange(1), help="Paired runs they are split over."
)
@click.option(
    "--curve",
    "swept",
    type=click.Choice([*curve.CURVES]),
    help="The cell under five values of a setting: what tighter promises cost, or harder drains.",
)
@click.option(
    "--trace", "trace_file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Replay this."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Where the trace's schedule goes."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def queue(
    cell: str,
    count: int,
    seeds: int,
    trace_file: Path | None,
    out: Path | None,
    *,
    swept: str | None,
    as_json: bool,
) -> None:
    """Promises kept, waits, use and cuts, beside first-fit and strict FIFO.

    With --trace FILE --out FILE a given trace is replayed instead, and every start, promise, guarantee,
    reason and end is written down for others to check; controller/bench/README.md documents both files.
    """
    if (trace_file is None) != (out is None):
        raise click.UsageError("--trace and --out belong together.")
    if trace_file and out:
        schedule = trace.replay(trace_file.read_text(), Policy())
        out.write_text(json.dumps(schedule, indent=1) + "\n")
        summary = {
            "sessions": len(schedule["sessions"]),
            "promises": len(schedule["promises"]),
            "out": str(out),
        }
        click.echo(json.dumps(summary) if as_json else f"{out}: {summary['sessions']} sessions")
        return
    if swept and cell == "fleet":
        raise click.UsageError("--curve needs a cell of simulated people, and `fleet` has none.")
    if cell == "fleet":
        outcome = scale.run(count // 50)
    else:
        measure = curve.CURVES[swept] if swept else compare.run
        outcome = measure(CELLS[cell], count, seeds, tell)
    show(outcome, as_json=as_json)

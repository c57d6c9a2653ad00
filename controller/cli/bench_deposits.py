"""`axonos bench deposits`: all cases under many orders of events, or one seed of one case again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from controller.bench import deposits as deposits_bench
from controller.cli.bench_output import show


@click.command()
@click.option(
    "--interleavings",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Distinct orders for each case.",
)
@click.option("--case", help="Only cases whose name contains this.")
@click.option("--seed", type=int, help="Play this seed of the case called --case again, and print its steps.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; two a core by default.")
@click.option("--node", type=click.Path(path_type=Path), help="Where npm's packages (anvil) are or go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def deposits(
    interleavings: int,
    case: str | None,
    seed: int | None,
    jobs: int | None,
    node: Path | None,
    *,
    as_json: bool,
) -> None:
    """Every hostile deposit, credited exactly once whatever the order of events; an oracle counts.

    Needs the source tree; brings its own PostgreSQL and local chains.
    """
    if seed is not None and case is None:
        raise click.UsageError("--seed belongs to one --case.")
    if seed is not None and case is not None:
        sys.exit(deposits_bench.again(case, seed))
    wish = deposits_bench.Wish(interleavings, case, jobs, node)
    show(deposits_bench.run(wish), as_json=as_json)

"""`axonos bench x402`: how fast an agent's payment becomes a session's record, and what replays cost."""

from __future__ import annotations

import click

from controller.bench import from_source
from controller.cli.bench_output import show


@click.command(name="x402")
@click.option("--calls", default=60, show_default=True, type=click.IntRange(1), help="Pay and claim.")
@click.option("--settlements", default=300, show_default=True, type=click.IntRange(1), help="At once.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1), help="Of the site.")
@click.option("--threads", default=8, show_default=True, type=click.IntRange(2), help="In each of them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def x402(calls: int, settlements: int, processes: int, threads: int, *, as_json: bool) -> None:
    """Agents pay by HTTP 402 on a local chain; every payment is replayed, credits are held against the logs.

    Needs the source tree; brings its own PostgreSQL and chain.
    """
    given = {"calls": calls, "settlements": settlements, "processes": processes, "threads": threads}
    words = [f"--{name}={value}" for name, value in given.items()]
    show(from_source.run("agents", words), as_json=as_json)

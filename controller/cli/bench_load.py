"""`axonos bench load`: what a controller takes for many live sessions, and how long their pages wait."""

from __future__ import annotations

import click

from controller.bench import from_source
from controller.cli.bench_output import show


@click.command()
@click.option("--sessions", default=2_000, show_default=True, type=click.IntRange(1), help="How many live.")
@click.option("--hosts", default=250, show_default=True, type=click.IntRange(1), help="Guards that report.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1), help="Measured for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def load(sessions: int, hosts: int, seconds: float, *, as_json: bool) -> None:
    """Web and worker as installed, with pages that beat and guards that report over real HTTP.

    Needs the source tree; brings its own PostgreSQL. A quiet second core is for the crowd.
    """
    words = [f"--sessions={sessions}", f"--hosts={hosts}", f"--seconds={seconds}"]
    show(from_source.run("load", words), as_json=as_json)

"""`axonos bench stream`: how many streams one core carries, what each costs and adds, beside websockify."""

from __future__ import annotations

import click

from controller.bench import from_source
from controller.cli.bench_output import show


@click.command()
@click.option("--seconds", default=4.0, show_default=True, type=click.FloatRange(1), help="For each step.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def stream(seconds: float, *, as_json: bool) -> None:
    """Ten updates of 16 KiB a second and stream, more streams at each step, until their p99 is late.

    Needs the source tree, root, two cores and PyPI: websockify comes into a venv that is thrown away.
    """
    show(from_source.run("stream", [f"--seconds={seconds}"]), as_json=as_json)

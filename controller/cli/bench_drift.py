"""`axonos bench drift`."""

from __future__ import annotations

import os

import click

from controller.bench import from_source
from controller.cli.bench_output import show
from controller.errors import Refused


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def drift(*, as_json: bool) -> None:
    """Kinds of change by hand, on a host, in Docker and on EC2: named by a check, repaired by one run.

    Needs the source tree, root, Docker and mmdebstrap; brings its own host, reached by SSH, and its own EC2.
    """
    if os.geteuid() != 0:
        raise Refused("This benchmark runs a whole host in a container: run it as root.")
    show(from_source.run("drift", []), as_json=as_json)

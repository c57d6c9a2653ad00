"""`axonos bench move`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from controller.adapters.provisioner import AnsibleProvisioner
from controller.bench import move as move_bench
from controller.bench.move_place import open_places
from controller.cli.bench_output import show, tell
from controller.errors import Refused

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
READY_S = 60


@click.command()
@click.option(
    "--size-mib", default=1024, show_default=True, type=click.IntRange(16), help="Size of the home."
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Moves of each kind.")
@click.option("--kills", default=12, show_default=True, type=click.IntRange(0), help="Moves that are killed.")
@click.option("--seed", default=1, show_default=True, help="Gives bytes, changes and kills.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def move(size_mib: int, rounds: int, kills: int, seed: int, *, as_json: bool) -> None:
    """A home resumed on another host: seconds, bytes between the hosts, bytes lost over kills in mid-move.

    Needs root and btrfs-progs; brings its own two file systems on loop devices.
    """
    if os.geteuid() != 0:
        raise Refused("This benchmark mounts file systems: run it as root.")
    with open_places(size_mib) as places:
        provisioner = AnsibleProvisioner(PLAYBOOKS, places[0].state)
        try:
            if provisioner.warm is None or not provisioner.warm.ready.wait(READY_S):
                raise Refused("The warm server did not start.")
            measure = move_bench.Measure(places, provisioner.run, tell, seed)
            outcome = move_bench.run(measure, size_mib=size_mib, rounds=rounds, kills=kills)
        finally:
            provisioner.close()
    show(outcome, as_json=as_json)

"""`axonos bench`: measures the running platform and prints one JSON object a benchmark."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click

from controller.adapters.provisioner import AnsibleProvisioner
from controller.bench import crash as crash_bench
from controller.bench import launch as launch_bench
from controller.bench import run as run_bench
from controller.bench.figures import Outcome
from controller.bench.plain_desktop import own_network
from controller.bench.run_place import instant_image, open_place
from controller.cli.bench_all import all_
from controller.cli.bench_deposits import deposits
from controller.cli.bench_drift import drift
from controller.cli.bench_load import load
from controller.cli.bench_meter import meter
from controller.cli.bench_move import move
from controller.cli.bench_output import show, tell
from controller.cli.bench_queue import queue
from controller.cli.bench_stream import stream
from controller.cli.bench_x402 import x402
from controller.cli.output import plain
from controller.errors import Refused
from controller.services.sessions import admin as session_admin
from controller.settings import Settings, load_settings

READY_S = 60
_config = click.option("--config", type=click.Path(path_type=Path), help="The instance's axonos.toml.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")


@click.group()
def bench() -> None:
    """Measure the running platform, the peer beside it in the same run.

    Local mode only; as root, since the peer is a plain `docker run`. Exits with 1 if a goal is missed.
    """


bench.add_command(all_)
bench.add_command(deposits)
bench.add_command(drift)
bench.add_command(move)
bench.add_command(load)
bench.add_command(meter)
bench.add_command(queue)
bench.add_command(stream)
bench.add_command(x402)


@bench.command()
@click.option("--runs", default=100, show_default=True, type=click.IntRange(1), help="Launches of each kind.")
@_config
@_json
def launch(runs: int, config: Path | None, as_json: bool) -> None:
    """Click to painted desktop, warm and cold, in turn with a plain container and stock modules."""
    show(_launches(_local(config), runs, tell), as_json=as_json)


@bench.command(name="run")
@click.option("--runs", default=30, show_default=True, type=click.IntRange(1), help="Starts of each kind.")
@click.option("--image", help="ID of an image that is painted at once; else one is made of the platform's.")
@_config
@_json
def run_(runs: int, image: str | None, config: Path | None, as_json: bool) -> None:
    """Session runs, warm and cold, in turn with a playbook of stock modules."""
    show(_session_runs(load_settings(config), runs, image, tell), as_json=as_json)


@bench.command()
@click.option(
    "--runs", default=60, show_default=True, type=click.IntRange(1), help="Faults x steps; 1000 take an hour."
)
@click.option("--seed", default=1, show_default=True, help="Gives the order of faults and steps.")
@click.option("--only", type=int, metavar="N", help="One batch of that order again.")
@click.option("--dead-controller", is_flag=True, help="Also leave the controller dead, about 80 s.")
@_json
def crash(runs: int, seed: int, only: int | None, *, dead_controller: bool, as_json: bool) -> None:
    """Kill every process at every step of create, stop and delete; an oracle counts what is left.

    Needs the source tree and root; brings its own PostgreSQL, engine and processes.
    """
    outcome = crash_bench.run(runs, seed, only, dead_controller=dead_controller)
    show(outcome, as_json=as_json)


def _launches(settings: Settings, runs: int, told: Callable[[str], None]) -> Outcome:
    if os.geteuid() != 0:
        raise Refused("The peers are plain containers: run this benchmark as root.")
    from controller.adapters.wiring import make_deps  # noqa: PLC0415 - the chain library loads for a second

    deps = make_deps(settings)
    with open_place(settings.host, settings.sessions.image_id) as place, own_network() as network:
        measure = launch_bench.Measure(
            settings, place, lambda session: plain(session_admin.story(deps, session)), network, told
        )
        return launch_bench.run(measure, runs)


def _session_runs(settings: Settings, runs: int, image: str | None, told: Callable[[str], None]) -> Outcome:
    if os.geteuid() != 0:
        raise Refused("This benchmark starts containers and mounts by itself: run it as root.")
    with ExitStack() as stack:
        painted = image or stack.enter_context(instant_image(settings.sessions.image_id))
        place = stack.enter_context(open_place(settings.host, painted))
        warm = AnsibleProvisioner(settings.playbooks_dir, place.state)
        stack.callback(warm.close)
        cold = AnsibleProvisioner(settings.playbooks_dir, place.state, warm=False)
        stack.callback(cold.close)
        if warm.warm is None or not warm.warm.ready.wait(READY_S):
            raise Refused("The warm server did not start.")
        measure = run_bench.Measure(place, settings.playbooks_dir, {"warm": warm.run, "cold": cold.run}, told)
        return run_bench.run(measure, runs)


def _local(config: Path | None) -> Settings:
    settings = load_settings(config)
    if settings.mode != "local":
        raise Refused("Benchmarks pay with play money: they need local mode.")
    return settings

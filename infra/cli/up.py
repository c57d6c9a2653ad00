"""`axonos up`: stand the platform up, or look at all of it again and repair what differs."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import click

from infra.cli.explained import explained
from infra.cli.options import instance_options, json_option
from infra.first.machine import check_disk, check_ports, check_root
from infra.instance import Instance, resolve
from infra.summary import Summary
from infra.up.progress import choose
from infra.up.stack import configuration
from infra.up.stages import run_stages
from infra.up.work import Work


@click.command()
@instance_options
@click.option("--no-selfcheck", is_flag=True, help="Do not use the platform once as a visitor at the end.")
@click.option("--since", type=float, hidden=True, help="When the first stage began, seconds since the epoch.")
@click.option("--yes", is_flag=True, hidden=True, help="For scripts; `up` asks nothing.")
@json_option
def up(  # noqa: PLR0917 -- click passes options by name
    state: Path | None,
    name: str | None,
    no_selfcheck: bool,
    since: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Stand the platform up on this machine; again, it repairs what differs and names it.

    `make up` copies a clone's code and its Python environment first, then runs this.
    """
    del yes
    started = since or time.time()
    with explained(as_json=as_json):
        check_root()
        instance = resolve(name, state)
        check_disk(instance)
        check_ports(instance)
        os.umask(0o022)
        told = _stand_up(instance, selfcheck=not no_selfcheck, as_json=as_json)
    told["seconds"] = round(time.time() - started, 1)
    click.echo(json.dumps(told) if as_json else "\n".join(_lines(told)))


def _stand_up(instance: Instance, *, selfcheck: bool, as_json: bool) -> dict[str, Any]:
    config, stop = configuration(instance), threading.Event()
    stages = Work(instance, config, stop).stages(selfcheck=selfcheck)
    with choose(as_json=as_json) as show:
        results = run_stages(stages, show, stop)
    summary: Summary = results["stack"]
    return {
        "ok": True,
        "instance": instance.name,
        "origin": instance.origin,
        "simulated_gpus": all(gpu.simulated for gpu in config.hosts[0].gpus),
        "changed": summary.changed_count,
        "changes": [vars(change) for change in summary.changed],
        "drift": summary.as_json()["drift"],
        "selfcheck": results.get("selfcheck"),
    }


def _lines(told: dict[str, Any]) -> list[str]:
    """The closing words: what was found and done, and how to try it."""
    lines = [f"  drifted   {found['name']}: {'; '.join(found['what'])}" for found in told["drift"]]
    lines += [f"  {change['op']:<9} {change['kind']} {change['name']}" for change in told["changes"]]
    lines.append("" if told["changed"] else "Nothing had to be changed.")
    if check := told["selfcheck"]:
        lines.append(
            f"Self-check passed: {check['minutes_charged']:.3f} minutes charged, "
            f"screenshot {check['screenshot']}"
        )
    if told["simulated_gpus"]:
        lines.append("No NVIDIA driver here: the GPUs are simulated, everything else is real.")
    lines += [
        f"AxonOS is up at {told['origin']} after {told['seconds']:.0f} s.",
        "To try it: open that address, choose Demo wallet, sign in, Send min ETH, Launch GPU-Native Desktop.",
    ]
    return [line for line in lines if line]

"""`axonos hosts add`: a machine becomes a host, by SSH, or this machine by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from controller.adapters.convergence import HostConvergence, given
from controller.adapters.ssh_hosts import SshHosts, fingerprint
from controller.cli.hosts_text import ARRIVING, gpu_counts
from controller.cli.image import image_here
from controller.cli.output import connect, json_option, print_json
from controller.services.hosts import admission as host_admission
from controller.services.hosts import registry as service
from controller.services.hosts.admission import Wanted
from controller.services.hosts.registry import GpuSpec

_key = click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private SSH key of somebody who is or may become root there. It is not kept.",
)
_host_key = click.option("--host-key", metavar="SHA256:…", help="The fingerprint that the machine must show.")
_accept = click.option("--accept-new", is_flag=True, help="Take whatever key it shows the first time.")
_set = click.option(
    "--set", "more", multiple=True, metavar="NAME=VALUE", help="A variable of the playbook; repeatable."
)
_simulated = click.option(
    "--simulated-gpus",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Declare N simulated GPUs: everything is real, but no device is passed.",
)
GPU_HELP = "A GPU, in order; repeatable. GPUs of one island share an NVLink or a PCIe switch."
_model = click.option(
    "--gpu-model",
    metavar="LABEL",
    help="What its GPUs are called, where people choose; else as the driver says.",
)
_gpu = click.option("--gpu", "gpus", multiple=True, metavar="UUID[=MODEL][@ISLAND]", help=GPU_HELP)


@click.command()
@click.argument("name")
@click.option("--connection", type=click.Choice(["local", "ssh"]), help="ssh with --key, else local.")
@click.option("--address", default="127.0.0.1", show_default=True, help="[user@]host[:port] for SSH.")
@click.option("--gateway-url", required=True, help="ws:// or wss:// URL of its gateway, for browsers.")
@_key
@_host_key
@_accept
@_gpu
@_simulated
@_model
@_set
@json_option
def add(name: str, *, connection: str | None, key: Path | None, as_json: bool, **said: Any) -> None:
    """Take a machine as a host, or bring it up to date; safe to repeat.

    With --key it is reached by SSH: its host key is compared and pinned, its GPUs are found by nvidia-smi
    unless they are declared, and host.yml converges it. A new host is taken into use once it has the image
    that was built here. Without --key it is only registered, as a machine that is converged otherwise. JSON:
    {"changed": bool, "host": {…}, "converged": [tasks]}.
    """
    if key is not None and connection != "local":
        _admit(name, key, said, as_json=as_json)
        return
    if bool(said["gpus"]) == bool(said["simulated_gpus"]):
        raise click.UsageError("Give either --gpu (repeatable) or --simulated-gpus.")
    registered = service.register(
        connect(),
        name,
        connection=connection or "local",
        address=said["address"],
        gateway_url=said["gateway_url"],
        gpus=_specs(name, said),
        simulated=bool(said["simulated_gpus"]),
    )
    if as_json:
        print_json(registered)
        return
    click.echo(f"{name}: {_word(registered.changed)}, {gpu_counts(registered.host)}")


def _admit(name: str, key: Path, said: dict[str, Any], *, as_json: bool) -> None:
    if said["gpus"] and said["simulated_gpus"]:
        raise click.UsageError("Give --gpu or --simulated-gpus, not both.")
    deps = connect()
    wanted = Wanted(
        name,
        said["address"],
        key.absolute(),
        said["gateway_url"],
        host_key=said["host_key"],
        accept_new=said["accept_new"],
        gpus=_specs(name, said),
        simulated=bool(said["simulated_gpus"]),
        gpu_model=said["gpu_model"],
        variables={k: v for text in said["more"] for k, v in given(text).items()},
    )
    convergence = HostConvergence(deps.settings, lambda line: None if as_json else click.echo(f"  {line}"))
    reach, image = SshHosts(deps.settings.state_dir), image_here(deps.settings)
    admitted = host_admission.admit(deps, reach, convergence, wanted, fingerprint=fingerprint, image=image)
    if as_json:
        print_json(admitted)
        return
    tasks = f"{len(admitted.converged)} things converged" if admitted.converged else "converged already"
    click.echo(f"{name}: {_word(admitted.changed)}, {tasks}, {gpu_counts(admitted.host)}")
    if admitted.arriving:
        click.echo(f"{name}: {ARRIVING}")


def _word(changed: bool) -> str:
    return "registered" if changed else "unchanged"


def _specs(name: str, said: dict[str, Any]) -> list[GpuSpec]:
    if said["simulated_gpus"]:
        found = simulated(name, said["simulated_gpus"])
    else:
        found = [_spec(gpu) for gpu in said["gpus"]]
    return service.labelled(found, said["gpu_model"])


def simulated(name: str, count: int) -> list[GpuSpec]:
    """Names of simulated GPUs; unlike a real GPU's UUID, they say what they are."""
    host = hashlib.sha256(name.encode()).hexdigest()[:8]
    return [GpuSpec(f"SIM-{host}-{index}", "simulated") for index in range(count)]


def _spec(text: str) -> GpuSpec:
    named, _, island = text.partition("@")
    uuid, _, model = named.partition("=")
    return GpuSpec(uuid, model or "unknown", island or None)

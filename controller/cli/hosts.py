"""`axonos hosts`: GPU hosts and their GPUs."""

from __future__ import annotations

import hashlib

import click

from controller.cli.hosts_demand import demand
from controller.cli.hosts_fleet import drain, remove, resume
from controller.cli.hosts_sync import sync
from controller.cli.output import connect, instant, json_option, print_json, print_table
from controller.services import hosts as service
from controller.services.hosts import GpuSpec, HostView

GPU_HELP = "A GPU, in order; repeatable. GPUs of one island share an NVLink or a PCIe switch."


@click.group()
def hosts() -> None:
    """GPU hosts: list, show, pool, demand, add, sync, drain, resume, remove, release-gpu, quarantine-gpu."""


for command in (demand, drain, resume, remove, sync):
    hosts.add_command(command)


@hosts.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """All registered hosts, with how many GPUs are free, leased or not usable."""
    found = service.list_hosts(connect())
    if as_json:
        print_json({"hosts": found})
        return
    rows = [(h.name, h.state, h.connection, h.address, _gpus(h), instant(h.last_report_at_ms)) for h in found]
    columns = ("HOST", "STATE", "BY", "ADDRESS", "GPUS", "LAST REPORT (UTC)")
    print_table(columns, rows, empty="No host is registered. `axonos hosts add` registers one.")


@hosts.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """One host and each of its GPUs."""
    host = service.show(connect(), name)
    if as_json:
        print_json(host)
        return
    kind = "simulated GPUs" if host.simulated else "GPUs"
    click.echo(f"{host.name}: {host.state}, {len(host.gpus)} {kind}, reached by {host.connection}")
    click.echo(f"gateway {host.gateway_url}, last report {instant(host.last_report_at_ms)} UTC")
    rows = [(g.index, g.uuid, g.model, g.state, g.slot or "", g.island or "", g.why or "") for g in host.gpus]
    print_table(("#", "UUID", "MODEL", "STATE", "SLOT", "ISLAND", "WHY"), rows, empty="It has no GPUs.")


@hosts.command()
@json_option
def pool(*, as_json: bool) -> None:
    """Desktops that wait for somebody, on which GPUs, and what memory they hold."""
    found = service.list_pool(connect())
    if as_json:
        print_json({"pool": found})
        return
    rows = [
        (one.host, one.profile, one.state, one.slot, " ".join(one.gpus), one.memory_mib or "-")
        for one in found
    ]
    columns = ("HOST", "PROFILE", "STATE", "SLOT", "GPUS", "MiB")
    print_table(columns, rows, empty="No desktop waits. `[pool]` in axonos.toml says how many should.")


@hosts.command()
@click.argument("name")
@click.option("--connection", type=click.Choice(["local", "ssh"]), default="local", show_default=True)
@click.option("--address", default="127.0.0.1", show_default=True, help="Where Ansible reaches it.")
@click.option("--gateway-url", required=True, help="ws:// or wss:// URL of its gateway, for browsers.")
@click.option("--gpu", "gpus", multiple=True, metavar="UUID[=MODEL][@ISLAND]", help=GPU_HELP)
@click.option(
    "--simulated-gpus",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Declare N simulated GPUs: everything is real, but no device is passed.",
)
@json_option
def add(
    name: str,
    *,
    connection: str,
    address: str,
    gateway_url: str,
    gpus: tuple[str, ...],
    simulated_gpus: int | None,
    as_json: bool,
) -> None:
    """Register a host, or bring it up to date; safe to repeat. JSON: {"changed": bool, "host": {…}}."""
    if bool(gpus) == bool(simulated_gpus):
        raise click.UsageError("Give either --gpu (repeatable) or --simulated-gpus.")
    specs = _simulated(name, simulated_gpus) if simulated_gpus else [_spec(gpu) for gpu in gpus]
    registered = service.register(
        connect(),
        name,
        connection=connection,
        address=address,
        gateway_url=gateway_url,
        gpus=specs,
        simulated=bool(simulated_gpus),
    )
    if as_json:
        print_json(registered)
        return
    click.echo(f"{name}: {'registered' if registered.changed else 'unchanged'}, {_gpus(registered.host)}")


@hosts.command("release-gpu")
@click.argument("uuid")
@json_option
def release_gpu(uuid: str, *, as_json: bool) -> None:
    """Vouch for a dirty or quarantined GPU, so that it is used again."""
    gpu = service.release_gpu(connect(), uuid)
    if as_json:
        print_json(gpu)
        return
    click.echo(f"{gpu.uuid}: {gpu.state}")


@hosts.command("quarantine-gpu")
@click.argument("uuid")
@click.option("--why", default="quarantined by the operator", show_default=True, help="Shown beside it.")
@json_option
def quarantine_gpu(uuid: str, *, why: str, as_json: bool) -> None:
    """Take a GPU out of use; one that is leased, once its session is over."""
    gpu = service.quarantine_gpu(connect(), uuid, why)
    if as_json:
        print_json(gpu)
        return
    click.echo(f"{gpu.uuid}: {gpu.state}" + (", quarantined afterwards" if gpu.state == "leased" else ""))


def _gpus(host: HostView) -> str:
    counts: dict[str, int] = {}
    for gpu in host.gpus:
        counts[gpu.state] = counts.get(gpu.state, 0) + 1
    text = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none"
    return f"{text} (simulated)" if host.simulated else text


def _simulated(name: str, count: int) -> list[GpuSpec]:
    """Names of simulated GPUs; unlike a real GPU's UUID, they say what they are."""
    host = hashlib.sha256(name.encode()).hexdigest()[:8]
    return [GpuSpec(f"SIM-{host}-{index}", "simulated") for index in range(count)]


def _spec(text: str) -> GpuSpec:
    named, _, island = text.partition("@")
    uuid, _, model = named.partition("=")
    return GpuSpec(uuid, model or "unknown", island or None)

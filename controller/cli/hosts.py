"""`axonos hosts`: GPU hosts and their GPUs."""

from __future__ import annotations

import click

from controller.cli.hosts_add import add
from controller.cli.hosts_demand import demand
from controller.cli.hosts_fleet import drain, remove, resume
from controller.cli.hosts_sync import sync
from controller.cli.hosts_text import gpu_counts
from controller.cli.hosts_upgrade import upgrade
from controller.cli.output import connect, instant, json_option, print_json, print_table
from controller.services.hosts import registry as service


@click.group()
def hosts() -> None:
    """GPU hosts: look, demand, add, sync, upgrade, drain, resume, remove; release or quarantine a GPU."""


for command in (add, demand, sync, upgrade, drain, resume, remove):
    hosts.add_command(command)


@hosts.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """All registered hosts, with how many GPUs are free, leased or not usable."""
    found = service.list_hosts(connect())
    if as_json:
        print_json({"hosts": found})
        return
    rows = [
        (h.name, h.state, h.connection, h.address, gpu_counts(h), instant(h.last_report_at_ms)) for h in found
    ]
    columns = ("HOST", "STATE", "BY", "ADDRESS", "GPUS", "LAST REPORT (UTC)")
    print_table(columns, rows, empty="No host is registered. `axonos hosts add` registers one.")
    for host in found:
        for problem in host.problems:
            click.echo(f"{host.name}: {problem}")


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
    facts = ", ".join(f"{name} {value}" for name, value in sorted((host.health or {}).items()))
    click.echo(f"health: {'; '.join(host.problems) or 'well'} ({facts or 'nothing known'})")
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

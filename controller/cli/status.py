"""`axonos status`: the platform on one screen, said openly."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from controller.adapters.reach import listens, url_listens
from controller.cli.output import connect, json_option, plain, print_json
from controller.errors import DatabaseUnavailable
from controller.services.deps import Deps
from controller.services.pool.waiting import Waiting
from controller.services.queue.promises import PromiseCount
from controller.services.runs.figures import RunFigures
from controller.services.status import Status, Watcher
from controller.services.status import status as read_status
from controller.settings import Settings
from controller.settings_money import Chain

REPORT_OVERDUE_MS = 15_000


@click.command()
@json_option
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Instance, hosts, GPUs, sessions, queue, chain and services. Exits with 4 if a service is missing."""
    deps = connect()
    try:
        found: Status | None = read_status(deps)
    except DatabaseUnavailable:
        found = None
    services = _services(deps, found)
    well = all(services.values())
    if as_json:
        print_json({**(plain(found) if found else {}), "services": services, "ok": well})
    else:
        _print(deps, found, services)
    ctx.exit(0 if well else 4)


def _services(deps: Deps, found: Status | None) -> dict[str, bool]:
    settings = deps.settings
    services = {
        "database": found is not None,
        "web": listens(settings.web.bind, settings.web.port),
        "worker": bool(found and found.worker_connected),
        **{_node_of(settings, chain): any(map(url_listens, chain.rpc_urls)) for chain in settings.chains},
        "gateway": listens(settings.gateway.bind, settings.gateway.port),
    }
    for host, ago in (found.last_report_ms_ago if found else {}).items():
        services[f"guard of {host}"] = ago is not None and ago < REPORT_OVERDUE_MS
    return services


def _print(deps: Deps, found: Status | None, services: dict[str, bool]) -> None:
    settings = deps.settings
    where = "on this machine only" if settings.mode == "local" else "production"
    click.echo(f"instance {settings.instance}: {settings.mode} ({where}), {settings.web.origin}")
    if found:
        if found.simulated:
            click.echo("GPUs are SIMULATED: desktops are real, but no GPU is passed to them.")
        for title, counts in (("hosts", found.hosts), ("GPUs", found.gpus), ("sessions", found.sessions)):
            click.echo(f"{title:<9} {_counts(counts)}")
        click.echo(f"queue     {found.queue} waiting, {found.runs_waiting} runs in hand")
        click.echo(f"promises  {_promises(found.promises)}")
        click.echo(f"runs      {_runs(found.runs)}")
        click.echo(f"pool      {pool_words(found.pool)}")
        for watcher in found.watchers:
            click.echo(f"chain     {watcher.name} ({watcher.chain_id}), {_watcher(watcher)}")
        click.echo(f"journal   {_journal(found, deps.clock.now_ms())}")
        for alert in found.alerts:
            click.echo(click.style(f"ALERT     {alert.kind}, {alert.subject}: {alert.why}", fg="red"))
    for name, well in services.items():
        click.echo(click.style(f"  {'ok     ' if well else 'MISSING'} {name}", fg=None if well else "red"))


def _journal(found: Status, now_ms: int) -> str:
    last = found.journal
    if last is None:
        return "not checked yet"
    ago = f"checked {(now_ms - last.at_ms) // 60_000} min ago"
    if last.findings is None:
        return f"{ago}, which took too long; run `axonos ledger audit`"
    return f"{ago}, {'adds up' if last.findings == 0 else f'{last.findings} findings'}"


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(counts.items())) or "none"


def _promises(found: PromiseCount) -> str:
    """Kept and broken ones, the causes of those, and those without a cause, which must be none."""
    causes = "; ".join(f"{why}: {number}" for why, number in found.broken_by_cause.items())
    broken = f"{found.broken} broken by a cause outside" + (f" ({causes})" if causes else "")
    missed = f", {found.missed} MISSED" if found.missed else ""
    return f"{found.given} given, {found.kept} kept, {broken}{missed}"


def _runs(found: RunFigures) -> str:
    if not found.warm + found.cold:
        return "none yet"
    cold = f" (last because: {found.last_cold_why})" if found.last_cold_why else ""
    starts = (
        f"; a start takes {found.start_p50_ms} ms, p99 {found.start_p99_ms}" if found.start_p50_ms else ""
    )
    return f"{found.warm} warm, {found.cold} cold{cold}{starts}"


def pool_words(found: list[Waiting]) -> str:
    """Desktops that wait for somebody, by profile and state, and their memory."""
    count = Counter((one.profile, one.state) for one in found)
    if not count:
        return "no desktop waits"
    parts = ", ".join(f"{number} {profile} {state}" for (profile, state), number in sorted(count.items()))
    return f"{parts}; {sum(one.memory_mib or 0 for one in found)} MiB"


def _node_of(settings: Settings, chain: Chain) -> str:
    return "chain" if chain == settings.chain else f"chain {chain.name}"


def _watcher(found: Watcher) -> str:
    if found.stopped_why:
        return f"watcher STOPPED: {found.stopped_why}"
    if found.block_number is None:
        return "not read yet"
    return f"read to block {found.block_number}"

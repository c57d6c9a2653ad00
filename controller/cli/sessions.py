"""`axonos sessions`: what runs, what waits, and what happened to one session."""

from __future__ import annotations

from typing import Any

import click

from controller.cli.output import connect, instant, json_option, minutes, print_json, print_table
from controller.services.sessions import admin as service
from controller.services.sessions import start_times

KINDS = {"ssh": "shell"}


@click.group()
def sessions() -> None:
    """Sessions: list, show one with its events and runs, end one, see where starts spend their time."""


@sessions.command("list")
@click.option("--all", "every", is_flag=True, help="Also sessions that are over.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@json_option
def list_(*, every: bool, limit: int, as_json: bool) -> None:
    """Live sessions and the queue, newest first."""
    found = service.list_sessions(connect(), live_only=not every, limit=limit)
    if as_json:
        print_json({"sessions": found})
        return
    rows = [
        (
            line.session.id,
            line.wallet,
            line.session.profile,
            KINDS.get(line.session.kind, line.session.kind),
            _state(line),
            minutes(line.session.billed_gpu_ms),
            line.session.queue_reason or line.session.why,
        )
        for line in found
    ]
    print_table(
        ("SESSION", "WALLET", "PROFILE", "KIND", "STATE", "MINUTES", "WHY"), rows, empty="No sessions."
    )


@sessions.command()
@click.argument("session_id")
@json_option
def show(session_id: str, *, as_json: bool) -> None:
    """One session: its events, its runs and their errors."""
    found = service.story(connect(), session_id)
    if as_json:
        print_json(found)
        return
    session = found.session
    kind = KINDS.get(session.kind, session.kind)
    size = f"{kind} {session.profile} ({session.gpus} GPUs)"
    click.echo(f"{session.id}: {session.state}, {size} of {found.wallet}")
    click.echo(f"slot {found.slot or '-'}, billed {minutes(session.billed_gpu_ms)} minutes. {session.why}")
    events = [(instant(e["at_ms"]), e["event"], e["to_state"]) for e in found.events]
    print_table(("AT (UTC)", "EVENT", "STATE"), events, empty="No events.")
    runs = [
        (r["id"], r["playbook"], r["host"], r["state"], r["attempts"], r["error_code"] or "", _way(r))
        for r in found.runs
    ]
    print_table(("RUN", "PLAYBOOK", "HOST", "STATE", "ATTEMPTS", "ERROR", "WAY"), runs, empty="No runs.")
    stages = [(r["id"], _stages(r["timings"])) for r in found.runs if r["timings"]]
    print_table(("RUN", "MILLISECONDS SINCE IT WAS DUE"), stages, empty="")
    for run in found.runs:
        if parts := run.get("stages"):
            where = ", ".join(f"{name.removesuffix('_ms')} {ms}" for name, ms in parts.items())
            click.echo(f"run {run['id']}, a {run['start']} start, in milliseconds: {where}")


@sessions.command()
@click.option("--last", default=200, show_default=True, type=click.IntRange(1), help="Starts to look at.")
@json_option
def stages(last: int, *, as_json: bool) -> None:
    """Where the time of the last starts went: each stage's median and 95th percentile."""
    found = start_times.last_starts(connect(), last)
    if as_json:
        print_json({"stages": found})
        return
    rows = [(line.kind, line.stage, line.starts, line.p50_ms, line.p95_ms) for line in found]
    print_table(("START", "STAGE", "STARTS", "P50 ms", "P95 ms"), rows, empty="No start came through yet.")


@sessions.command()
@click.argument("session_id")
@json_option
def end(session_id: str, *, as_json: bool) -> None:
    """End a session, whoever owns it; its files stay."""
    session = service.end_any(connect(), session_id)
    if as_json:
        print_json(session)
        return
    click.echo(f"{session.id}: {session.state}")


def _way(run: dict[str, Any]) -> str:
    return f"{run['way']}: {run['way_why']}" if run["way_why"] else run["way"] or ""


def _stages(timings: dict[str, int]) -> str:
    return ", ".join(f"{name} {ms}" for name, ms in sorted(timings.items(), key=lambda stage: stage[1]))


def _state(line: service.SessionLine) -> str:
    session = line.session
    if session.queue_position is not None:
        return f"queued, {session.queue_position}."
    return f"{session.state}, detached" if session.detached else session.state

"""`axonos sessions`: what runs, what waits, and what happened to one session."""

from __future__ import annotations

import click

from controller.cli.output import connect, instant, json_option, minutes, print_json, print_table
from controller.services import session_admin as service


@click.group()
def sessions() -> None:
    """Sessions: list, show one with its events and runs, end one."""


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
            _state(line),
            minutes(line.session.billed_gpu_ms),
            line.session.queue_reason or line.session.why,
        )
        for line in found
    ]
    print_table(("SESSION", "WALLET", "PROFILE", "STATE", "MINUTES", "WHY"), rows, empty="No sessions.")


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
    click.echo(f"{session.id}: {session.state}, {session.profile} ({session.gpus} GPUs) of {found.wallet}")
    click.echo(f"slot {found.slot or '-'}, billed {minutes(session.billed_gpu_ms)} minutes. {session.why}")
    events = [(instant(e["at_ms"]), e["event"], e["to_state"]) for e in found.events]
    print_table(("AT (UTC)", "EVENT", "STATE"), events, empty="No events.")
    runs = [
        (r["id"], r["playbook"], r["host"], r["state"], r["attempts"], r["error_code"] or "")
        for r in found.runs
    ]
    print_table(("RUN", "PLAYBOOK", "HOST", "STATE", "ATTEMPTS", "ERROR"), runs, empty="No runs.")


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


def _state(line: service.SessionLine) -> str:
    session = line.session
    if session.queue_position is not None:
        return f"queued, {session.queue_position}."
    return f"{session.state}, detached" if session.detached else session.state

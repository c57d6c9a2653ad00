"""`axonos selfcheck`: does the main job on the running platform, as a visitor would."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from pathlib import Path

import click

from controller.errors import Refused
from controller.selfcheck import journey
from controller.settings import load_settings


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The instance's axonos.toml.")
@click.option("--screenshot", type=click.Path(path_type=Path), help="Where to keep the desktop's picture.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def selfcheck(config: Path | None, screenshot: Path | None, as_json: bool) -> None:
    """Sign in, deposit on the local chain, launch, see the desktop painted, end.

    Works in local mode only, with a wallet made for this one visit. Exits with 1 if any step fails.
    """
    settings = load_settings(config)
    if settings.mode != "local":
        raise Refused("The self-check pays with play money: it needs local mode.")
    target = screenshot or settings.state_dir / "selfcheck.png"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the session it launched is ended first
    report = journey.run(settings.web.origin, target, lambda text: _say(text, as_json=as_json))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
    else:
        click.echo(_summary(report))
    sys.exit(0 if report.ok else 1)


def _say(text: str, *, as_json: bool) -> None:
    click.echo(f"  {text}", err=as_json)


def _summary(report: journey.Report) -> str:
    if not report.ok:
        return f"failed at {report.problem}"
    return (
        f"done in {report.seconds} s, {report.minutes_charged:.3f} GPU-minutes charged, "
        f"screenshot {report.screenshot}"
    )

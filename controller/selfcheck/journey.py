"""The main job, step by step and timed: sign in, deposit, launch, see the desktop painted, end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed

from controller.errors import AxonosError
from controller.selfcheck.visitor import Visitor

GPU_MS_PER_MINUTE = 60_000
LOOK_TIMEOUT_S = 30
# What a site can do to its visitor: refuse, break off, be silent, answer without what was asked for.
FAULTS = (AxonosError, httpx.HTTPError, OSError, LookupError, EOFError, ConnectionClosed)


@dataclass
class Report:
    """What the self-check saw. `minutes_charged` is what the statement says, to the millisecond."""

    ok: bool = False
    seconds: float = 0.0
    minutes_charged: float | None = None
    screenshot: str | None = None
    problem: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)


def run(origin: str, screenshot: Path, told: Callable[[str], None]) -> Report:
    """Do the main job once with a fresh wallet.

    Args:
        origin: of a site in local mode.
        screenshot: where the painted desktop is kept.
        told: hears each step as it begins, and what it waits for.
    """
    report = Report(screenshot=str(screenshot))
    began = time.monotonic()
    try:
        with Visitor(origin) as visitor:
            _visit(visitor, screenshot, _timed(report, told), told, report)
        report.ok = True
    except FAULTS:
        report.ok = False
    report.seconds = round(time.monotonic() - began, 2)
    return report


def _timed(report: Report, told: Callable[[str], None]) -> Callable[[str, Callable[[], Any]], Any]:
    def step(name: str, act: Callable[[], Any]) -> Any:
        told(name)
        line: dict[str, Any] = {"step": name, "ok": True}
        report.steps.append(line)
        began = time.monotonic()
        try:
            return act()
        except FAULTS as error:
            line["ok"] = False
            report.problem = report.problem or f"{name}: {str(error) or type(error).__name__}"
            raise
        finally:
            line["seconds"] = round(time.monotonic() - began, 2)

    return step


def _visit(
    visitor: Visitor,
    screenshot: Path,
    step: Callable[[str, Callable[[], Any]], Any],
    told: Callable[[str], None],
    report: Report,
) -> None:
    step("sign in", visitor.sign_in)
    step("play money", visitor.take_play_money)
    transaction = step("deposit", visitor.pay_minimum)
    credited = step("credit", lambda: visitor.wait_credited(transaction, told))
    session = step("launch", visitor.launch)
    try:
        step("start", visitor.wait_running)
        step(
            "see it painted",
            lambda: asyncio.run(asyncio.wait_for(visitor.look(session, screenshot), LOOK_TIMEOUT_S)),
        )
        step("heartbeat", lambda: visitor.post(f"sessions/{session}/heartbeat"))
    finally:
        step("end", lambda: visitor.end(session))
    step("find it saved", lambda: _saved(visitor))
    report.minutes_charged = step("statement", lambda: _charged(visitor, credited)) / GPU_MS_PER_MINUTE


def _saved(visitor: Visitor) -> None:
    """The launch page must offer the desktop again."""
    saved = visitor.get("sessions/current")["saved"]
    if not saved or saved["profile"] != "small":
        raise AxonosError(f"The launch page offers no saved desktop: {saved}.")


def _charged(visitor: Visitor, credited: int) -> int:
    """GPU-milliseconds the statement charges; its lines must add up to the balance."""
    lines = visitor.get("statement")["lines"]
    charged = -sum(int(line["gpu_ms"]) for line in lines if int(line["gpu_ms"]) < 0)
    balance = int(visitor.get("me")["balance"]["gpu_ms"])
    if charged <= 0 or credited - charged != balance:
        raise AxonosError(f"The statement does not add up: {credited} - {charged} is not {balance}.")
    return charged

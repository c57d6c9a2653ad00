"""`axonos bench launch`: click to painted desktop, cold, in turn with a plain container of the same image."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from controller.bench.figures import Outcome, p50, p95
from controller.bench.plain_desktop import launch_ms
from controller.selfcheck.visitor import Visitor
from controller.settings import Settings

ABOVE_DOCKER_RUN_MS = 800
LOOK_TIMEOUT_S = 60


def run(settings: Settings, runs: int, told: Callable[[str], None]) -> Outcome:
    """Measure.

    Args:
        settings: of a running instance in local mode.
        runs: launches of each kind, interleaved.
        told: hears the progress.
    """
    ours: list[float] = []
    plain: list[float] = []
    with Visitor(settings.web.origin) as visitor:
        visitor.sign_in()
        visitor.take_play_money()
        visitor.wait_credited(visitor.pay_minimum())
        for i in range(runs):
            plain.append(asyncio.run(launch_ms(settings.sessions.image_id, settings.host.session_uid)))
            ours.append(_click_to_painted_ms(visitor))
            told(f"{i + 1} of {runs}: plain {plain[-1]:.0f} ms, launch {ours[-1]:.0f} ms")
    figures = {
        "cold_p50_ms": p50(ours),
        "cold_p95_ms": p95(ours),
        "docker_run_p50_ms": p50(plain),
        "docker_run_p95_ms": p95(plain),
        "launches": runs,
        "painted": len(ours),
    }
    return Outcome(
        name="launch",
        figures=figures,
        goals={
            "cold_p50_ms": ("<=", figures["docker_run_p50_ms"] + ABOVE_DOCKER_RUN_MS),
            "painted": ("==", runs),
        },
        how=f"{runs} cold launches by HTTP and RFB through the gateway until panel and wallpaper are painted,"
        " each after one `docker run` of the same image watched through its socket",
    )


def _click_to_painted_ms(visitor: Visitor) -> float:
    began = time.monotonic()
    session = visitor.launch()
    try:
        visitor.wait_running()
        asyncio.run(asyncio.wait_for(visitor.look(session), LOOK_TIMEOUT_S))
        return (time.monotonic() - began) * 1000
    finally:
        visitor.end(session)

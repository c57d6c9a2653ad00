"""Waits until a desktop is painted, or knows why it never will be."""

from __future__ import annotations

import time

from controller.host import folder
from controller.host.attempt import Start, last_words, still_running
from controller.host.names import READY, WARM
from controller.host.steady import HostClock
from controller.host.words import HostRefused

POLL_S = 0.01  # the desktop needs the CPU more
ALIVE_EVERY = 40
ENDED = "the desktop ended before it was painted"
STAGES = ("bus", "x", "programs", "panel_left", "panel_right", "wallpaper", "compared", "painted")


def wait_painted(run: Start, deadline: float) -> dict[str, int]:
    """Wait for the desktop.

    Args:
        run: the start.
        deadline: on the monotonic clock, in seconds.

    Returns:
        The container's start and the desktop's readiness, in epoch milliseconds.

    Raises:
        HostRefused: not_painted, or stale_token if the slot was stopped meanwhile.
    """
    began = time.monotonic()
    polls = 0
    waits = run.request.waits  # its socket has another name until somebody has come
    while True:
        if "x_ms" not in run.stages and (waits or folder.has_socket(run.config, run.slot.folder)):
            run.stages["x_ms"] = round((time.monotonic() - began) * 1000)
        said = folder.read_ready(run.config, run.slot.folder, WARM if waits else READY)
        if "x_ms" in run.stages and said is not None:
            run.stages |= _inner(said.get("stages"))
            break
        if polls % ALIVE_EVERY == 0:
            still_running(run, "not_painted", ENDED)
        if time.monotonic() > deadline:
            limit = run.request.start_timeout_s
            raise HostRefused("not_painted", f"no desktop after {limit} s{last_words(run)}")
        polls += 1
        time.sleep(POLL_S)
    ready_at_ms = HostClock(run.config.run_dir).now_ms()
    run.stages["painted_ms"] = round((time.monotonic() - began) * 1000)
    return {"ready_at_ms": ready_at_ms, "started_at_ms": still_running(run, "not_painted", ENDED)}


def _inner(stages: object) -> dict[str, int]:
    """The desktop's own stages, in milliseconds since its session program began. Its user can write them."""
    if not isinstance(stages, dict):
        return {}
    found = {name: stages.get(f"{name}_ms") for name in STAGES}
    return {f"desktop_{name}_ms": ms for name, ms in found.items() if type(ms) is int and 0 <= ms < 3_600_000}

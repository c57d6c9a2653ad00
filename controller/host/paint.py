"""Waits until a desktop is painted, or knows why it never will be."""

from __future__ import annotations

import time

from controller.host import folder
from controller.host.attempt import Start, inspect
from controller.host.engine import EngineRefused
from controller.host.instants import now_ms, parse_instant_ms
from controller.host.names import READY, WARM
from controller.host.words import HostRefused

POLL_S = 0.004
ALIVE_EVERY = 50
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
            _still_running(run)
        if time.monotonic() > deadline:
            limit = run.request.start_timeout_s
            raise HostRefused("not_painted", f"no desktop after {limit} s{_last_words(run)}")
        polls += 1
        time.sleep(POLL_S)
    ready_at_ms = now_ms()
    run.stages["painted_ms"] = round((time.monotonic() - began) * 1000)
    return {"ready_at_ms": ready_at_ms, "started_at_ms": _still_running(run)}


def _inner(stages: object) -> dict[str, int]:
    """The desktop's own stages, in milliseconds since its session program began. Its user can write them."""
    if not isinstance(stages, dict):
        return {}
    found = {name: stages.get(f"{name}_ms") for name in STAGES}
    return {f"desktop_{name}_ms": ms for name, ms in found.items() if type(ms) is int and 0 <= ms < 3_600_000}


def _still_running(run: Start) -> int:
    """The container's start in epoch milliseconds."""
    info = inspect(run)
    if run.leases.stopped_token(run.slot.id) >= run.request.fencing_token:
        raise HostRefused("stale_token", "the slot was stopped while it started")
    if info is None or not info["State"]["Running"]:
        code = None if info is None else info["State"]["ExitCode"]
        said = _last_words(run)
        raise HostRefused("not_painted", f"the desktop ended before it was painted, exit status {code}{said}")
    return parse_instant_ms(info["State"]["StartedAt"]) or now_ms()


def _last_words(run: Start) -> str:
    """The end of what the desktop's programs wrote, for the operator."""
    try:
        answer = run.engine.open(
            "GET", f"/containers/{run.slot.container}/logs", stdout=True, stderr=True, tail="8"
        )
        text = answer.read().decode(errors="replace")
    except (EngineRefused, HostRefused):
        return ""
    words = "".join(char if char.isprintable() else " " for char in text).split()
    return ": " + " ".join(words)[-400:] if words else ""

"""One start under way: what its steps share, and how they ask the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.hostkeys import HostKey
from controller.host.instants import now_ms, parse_instant_ms
from controller.host.leases import Leases
from controller.host.names import Slot
from controller.host.request import StartRequest
from controller.host.words import HostRefused


@dataclass
class Start:
    """The request, its slot, a shell's host key, and how long each step took, in milliseconds."""

    config: HostConfig
    request: StartRequest
    engine: Engine
    leases: Leases
    slot: Slot
    host_key: HostKey | None = None
    stages: dict[str, int] = field(default_factory=dict)

    def timed(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do a step and note how long it took."""
        began = time.monotonic()
        try:
            return work()
        finally:
            self.stages[stage] = round((time.monotonic() - began) * 1000)


def inspect(run: Start) -> dict[str, Any] | None:
    """The slot's container as the engine has it; None if there is none."""
    try:
        info: dict[str, Any] = run.engine.call("GET", f"/containers/{run.slot.container}/json")
    except EngineRefused as error:
        if error.status == 404:
            return None
        raise HostRefused("docker_error", error.message) from error
    return info


def asked(engine: Engine, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """A call whose refusal is one of the contract's words."""
    try:
        return engine.call(method, path, body, **query)
    except EngineRefused as error:
        text = error.message.lower()
        if "no space left on device" in text or "disk quota exceeded" in text:
            raise HostRefused("disk_full", error.message) from error
        if "no such image" in text:
            raise HostRefused("image_missing", error.message) from error
        if "device driver" in text or "cdi device" in text or "nvidia-container-cli" in text:
            raise HostRefused("gpu_busy", error.message) from error
        raise HostRefused("docker_error", error.message) from error


def still_running(run: Start, code: str, ended: str) -> int:
    """The container's start in epoch milliseconds.

    Args:
        run: the start.
        code: the word to fail with if it has ended.
        ended: what to say then.

    Raises:
        HostRefused: `code`, or stale_token if the slot was stopped meanwhile.
    """
    info = inspect(run)
    if run.leases.stopped_token(run.slot.id) >= run.request.fencing_token:
        raise HostRefused("stale_token", "the slot was stopped while it started")
    if info is None or not info["State"]["Running"]:
        status = None if info is None else info["State"]["ExitCode"]
        raise HostRefused(code, f"{ended}, exit status {status}{last_words(run)}")
    return parse_instant_ms(info["State"]["StartedAt"]) or now_ms()


def last_words(run: Start) -> str:
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

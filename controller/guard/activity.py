"""What happens in the desktops of this host: CPU and network by the engine, disks by the kernel, GPUs, input.

Each look gives a measure since the look before; the first of a container gives none. What cannot be read is
None, which the controller takes for busy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.host import gpus, inputs
from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.names import Slot
from controller.host.words import HostRefused

log = logging.getLogger("axonos.guard")
EVERY_MS = 15_000
PROC = Path("/proc")


@dataclass(frozen=True)
class Look:
    """Counters of one container at an instant; `files` by process."""

    container_id: str
    pid: int
    at_ms: int
    cpu_ns: int | None
    net_bytes: int
    files: dict[str, int] | None
    input: int | None


class Activity:
    """Looks while the guard goes on, and keeps what it saw until it is reported."""

    def __init__(self, config: HostConfig, since_boot: Callable[[], int], pool: ThreadPoolExecutor) -> None:
        """Args: the host; the clock that decides when to look; where looks run."""
        self._config, self._since_boot, self._pool = config, since_boot, pool
        self._engine = Engine(timeout_s=10)
        self._before: dict[str, Look] = {}
        self._looking: Future[dict[str, Any]] | None = None
        self._due_ms = 0

    def look(self, slots: dict[str, dict[str, Any]], at_ms: int) -> None:
        """Begin a look, unless one is under way or was just done.

        Args:
            slots: the containers seen, with container id and state.
            at_ms: the controller's time.
        """
        if self._looking is None and self._since_boot() >= self._due_ms:
            self._due_ms = self._since_boot() + EVERY_MS
            running = {slot: one for slot, one in slots.items() if one["state"] == "running"}
            self._looking = self._pool.submit(self._measure, running, at_ms)

    def seen(self) -> dict[str, Any]:
        """What the last look saw, once: measures by slot, and how busy GPUs are."""
        if self._looking is None or not self._looking.done():
            return {}
        found, self._looking = self._looking, None
        if error := found.exception():
            log.warning("activity was not measured: %s", error)
            return {}
        return found.result()

    def close(self) -> None:
        """No look is under way any more."""
        self._engine.close()

    def _measure(self, running: dict[str, dict[str, Any]], at_ms: int) -> dict[str, Any]:
        pids = {slot: self._pid(slot, one["container_id"]) for slot, one in running.items()}
        files = _files({pid for pid in pids.values() if pid})
        found = []
        for slot, one in running.items():
            cpu, net = self._stats(slot)
            mark = inputs.last(self._config.run_dir, slot)
            moved = files.get(pids[slot])
            before = self._before.get(slot)
            now = Look(one["container_id"], pids[slot], at_ms, cpu, net, moved, mark)
            if before and before.container_id == now.container_id and at_ms > before.at_ms:
                found.append({"slot": slot} | between(before, now))
            self._before[slot] = now
        self._before = {slot: look for slot, look in self._before.items() if slot in running}
        inputs.forget(self._config.run_dir, set(running))
        return {"activity": found, "gpu_percents": gpus.utilization(self._config)} if found else {}

    def _pid(self, slot: str, container_id: str) -> int:
        """The container's first process, asked for once; 0 where that cannot be said."""
        before = self._before.get(slot)
        if before and before.container_id == container_id:
            return before.pid
        try:
            return int(self._engine.call("GET", f"/containers/{container_id}/json")["State"]["Pid"])
        except (EngineRefused, HostRefused, KeyError, TypeError, ValueError):
            return 0

    def _stats(self, slot: str) -> tuple[int | None, int]:
        path = f"/containers/{Slot(self._config, slot).container}/stats"
        try:
            said = self._engine.call("GET", path, stream=False, **{"one-shot": True})
            networks = (said.get("networks") or {}).values()
            return int(said["cpu_stats"]["cpu_usage"]["total_usage"]), sum(
                int(one["rx_bytes"]) + int(one["tx_bytes"]) for one in networks
            )
        except (EngineRefused, HostRefused, KeyError, TypeError, ValueError):
            return None, 0


def between(before: Look, now: Look) -> dict[str, Any]:
    """The measure from one look to the next."""
    ms = now.at_ms - before.at_ms
    cpu = io = None
    if before.cpu_ns is not None and now.cpu_ns is not None:
        cpu = max(0, now.cpu_ns - before.cpu_ns) / (ms * 10_000)
        if before.files is not None and now.files is not None:
            moved = max(0, now.net_bytes - before.net_bytes)
            moved += sum(max(0, size - before.files.get(pid, 0)) for pid, size in now.files.items())
            io = moved / 1.024 / ms
    seen = None if None in (before.input, now.input) else before.input != now.input
    return {
        "from_ms": before.at_ms,
        "to_ms": now.at_ms,
        "input": seen,
        "cpu_percent": cpu,
        "io_kib_per_s": io,
    }


def _files(inits: set[int]) -> dict[int, dict[str, int]]:
    """Bytes that each process has moved to and from disks, by the first process of its container."""
    spaces = {space: pid for pid in inits if (space := _namespace(str(pid)))}
    found: dict[int, dict[str, int]] = {pid: {} for pid in spaces.values()}
    for entry in PROC.iterdir() if spaces else ():
        init = spaces.get(_namespace(entry.name)) if entry.name.isdecimal() else None
        if init is not None and (size := _moved(entry)) is not None:
            found[init][entry.name] = size
    return found


def _namespace(pid: str) -> str:
    try:
        return str((PROC / pid / "ns" / "pid").readlink())
    except OSError:
        return ""


def _moved(process: Path) -> int | None:
    """What a process read from disks, and wrote to them or their cache; None when it is gone."""
    try:
        lines = (process / "io").read_text().splitlines()
        counts = dict(line.split(": ") for line in lines)
        return int(counts["read_bytes"]) + int(counts["write_bytes"])
    except (OSError, ValueError, KeyError):
        return None

"""Watches the kernel, not the engine's word: from when to when each container's first process lived.

Beside it, which GPUs each slot was leased on the host. Imports nothing of `controller`.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from pathlib import Path
from urllib.parse import quote

from crash_oracle import Place, engine

LOOK_EVERY_S = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


class Watcher:
    """`lives[slot]` is a list of (from, to) in epoch milliseconds; to is infinity while it lives."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._open: dict[int, tuple[str, int, int]] = {}  # pidfd -> slot, start, pid
        self._past: dict[str, list[tuple[int, float]]] = {}
        self._poll, self._lock = select.poll(), threading.Lock()
        self.gpus: dict[str, dict[str, int]] = {}  # since when each slot was leased which GPU
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=loop, daemon=True) for loop in (self._follow, self._wait)]
        for thread in self._threads:
            thread.start()

    @property
    def lives(self) -> dict[str, list[tuple[int, float]]]:
        with self._lock:
            found = {slot: list(spans) for slot, spans in self._past.items()}
            for slot, start, _ in self._open.values():
                found.setdefault(slot, []).append((start, float("inf")))
            return found

    def close(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)

    def _follow(self) -> None:
        chosen = quote(json.dumps({"label": [f"org.axonos.instance={self._place.instance}"]}))
        while not self._stopping.wait(LOOK_EVERY_S):
            self._read_leases()
            try:
                for one in engine(self._place.engine, f"/containers/json?filters={chosen}"):
                    self._see(one["Labels"]["org.axonos.slot"], one["Id"])
            except (OSError, ValueError, KeyError, TypeError):
                continue

    def _read_leases(self) -> None:
        for path in (self._place.run_dir / "leases").glob("s-*.json"):
            try:
                for gpu in json.loads(path.read_text())["gpus"]:
                    self.gpus.setdefault(path.stem, {}).setdefault(gpu, round(time.time() * 1000))
            except (OSError, ValueError, KeyError):
                continue

    def _see(self, slot: str, container: str) -> None:
        info = engine(self._place.engine, f"/containers/{container}/json")
        pid = info["State"]["Pid"]
        with self._lock:
            if not pid or any(pid == known for _, _, known in self._open.values()):
                return
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return
        with self._lock:
            self._open[descriptor] = (slot, born_ms(pid), pid)
            self._poll.register(descriptor, select.POLLIN)

    def _wait(self) -> None:
        while not self._stopping.is_set():
            for descriptor, _ in self._poll.poll(50):
                ended = time.time() * 1000
                with self._lock:
                    self._poll.unregister(descriptor)
                    slot, start, _ = self._open.pop(descriptor)
                    self._past.setdefault(slot, []).append((start, ended))
                os.close(descriptor)


def born_ms(pid: int) -> int:
    """When a process began, in epoch milliseconds, from the kernel's ticks since boot."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return round(time.time() * 1000)
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return round((booted + ticks / TICKS) * 1000)

"""Xid errors in the kernel's log: the NVIDIA driver's word that a GPU failed."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

KMSG = Path("/dev/kmsg")
MAX_RECORD = 8192
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9A-Fa-f:.]+)\): (\d+)\b")
# Those that ask for a reset or a repair; the others (13, 31, 43, 45 …) are a program's own fault.
BROKEN = frozenset({48, 61, 62, 63, 64, 74, 79, 92, 95, 110, 119, 120, 121, 136, 140, 143, 154})


def xids(since_ms: int, path: Path = KMSG) -> dict[str, set[int]]:
    """Xid errors that speak of broken hardware, by PCI bus.

    Args:
        since_ms: epoch milliseconds; older ones are left out.
        path: the kernel's log device.

    Returns:
        Codes by `bus_key`; empty where the log cannot be read (ECC counters and nvidia-smi still speak).
    """
    booted_ms = time.time_ns() // 1_000_000 - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    found: dict[str, set[int]] = {}
    for record in _records(path):
        head, _, message = record.partition(";")
        match = _XID.search(message)
        stamp = head.split(",")[2:3]
        if match is None or not stamp or not stamp[0].isdecimal():
            continue
        code = int(match[2])
        if code in BROKEN and booted_ms + int(stamp[0]) // 1000 >= since_ms:
            found.setdefault(bus_key(match[1]), set()).add(code)
    return found


def bus_key(bus: str) -> str:
    """A PCI address, equal for the kernel's way (`0000:3b:00`) and nvidia-smi's (`00000000:3B:00.0`)."""
    domain, number, device = bus.lower().split(".")[0].rsplit(":", 2)
    return f"{int(domain, 16):04x}:{number}:{device}"


def _records(path: Path) -> list[str]:
    """Every record that is in the log now; a read returns one record."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    records: list[str] = []
    try:
        while True:
            try:
                data = os.read(descriptor, MAX_RECORD)
            except BrokenPipeError:  # overwritten while it was read: the next read goes on behind the gap
                continue
            if not data:
                return records
            records += data.decode(errors="replace").splitlines()
    except OSError:  # nothing more for now
        return records
    finally:
        os.close(descriptor)

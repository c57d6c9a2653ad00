"""How a host is, in numbers: room on its disks, memory, load, engine, GPUs. Judged by the controller."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.host import home_snapshots
from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.words import HostRefused

NVIDIA_S = 5
MIB = 1 << 20


def look(config: HostConfig) -> dict[str, Any]:
    """Everything that can be found out in a moment; what cannot is left out."""
    found: dict[str, Any] = {"load_1m": round(os.getloadavg()[0], 2), "cpus": os.cpu_count()}
    for name, path in (("disk", config.homes_dir.parent), ("homes", config.homes_dir)):
        with suppress(OSError):
            usage = shutil.disk_usage(path)
            found |= {f"{name}_free_mib": usage.free // MIB, f"{name}_total_mib": usage.total // MIB}
    found["homes_mounted"] = config.homes_dir.is_mount()
    if found["homes_mounted"]:
        found["homes_btrfs"] = home_snapshots.is_btrfs(config.homes_dir)
    found |= _memory() | _engine()
    if config.nvidia_smi and Path(config.nvidia_smi).exists():
        found["gpus"] = _gpus(config.nvidia_smi)
    return found


def _memory() -> dict[str, int]:
    with suppress(OSError, ValueError, KeyError):
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        names = {"memory_free_mib": "MemAvailable", "memory_total_mib": "MemTotal"}
        return {ours: int(lines[theirs].split()[0]) // 1024 for ours, theirs in names.items()}
    return {}


def _engine() -> dict[str, str]:
    with suppress(HostRefused, EngineRefused, KeyError, TypeError), Engine(timeout_s=3) as engine:
        return {"engine": str(engine.call("GET", "/version")["Version"])}
    return {}


def _gpus(program: str) -> list[str]:
    """GPUs that the driver answers for, by UUID; none when it does not answer."""
    with suppress(OSError, subprocess.TimeoutExpired):
        asked = [program, "--query-gpu=uuid", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=NVIDIA_S, check=False)
        return done.stdout.split() if done.returncode == 0 else []
    return []

"""Whether a GPU may be given to the next person: processes, memory, ECC, row remapping and Xid errors.

Asked after a desktop is gone. Real GPUs answer through nvidia-smi, whose output is parsed strictly: what is
not understood is no clean bill of health. Of a simulated GPU only its container's absence can be checked.
Sources: nvidia-smi(1); NVIDIA, "Xid Errors" (docs.nvidia.com/deploy/xid-errors).
"""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Sequence
from typing import Any

from controller.host import kernel_log
from controller.host.config import HostConfig

IDLE_MIB = 512  # what drivers themselves may hold on an idle GPU
TIMEOUT_S = 20
_GPU = ("uuid", "pci.bus_id", "memory.used", "ecc.errors.uncorrected.volatile.total")
_ROWS = ("gpu_uuid", "remapped_rows.pending", "remapped_rows.failure")
_APPS = ("gpu_uuid", "pid")
_ABSENT = ("[N/A]", "N/A", "[Not Supported]")
SIMULATED = "simulated: only its container's absence can be checked"


class Unreadable(Exception):
    """nvidia-smi failed, or said what is not understood."""


def check(
    config: HostConfig, gpus: Sequence[str], *, simulated: bool, since_ms: int
) -> dict[str, dict[str, Any]]:
    """Check each GPU.

    Args:
        config: the host; names its nvidia-smi.
        gpus: UUIDs.
        simulated: no devices were passed.
        since_ms: Xid errors before this instant (epoch ms) belong to an earlier session.

    Returns:
        By UUID: `healthy` (true; false: broken; null: not now, ask again) and `why`, a sentence.
    """
    if simulated:
        return {gpu: _answer(healthy=True, why=SIMULATED) for gpu in gpus}
    if not gpus:
        return {}
    try:
        facts = _table(config.nvidia_smi, "gpu", _GPU)
        apps = _table(config.nvidia_smi, "compute-apps", _APPS)
        rows = _table(config.nvidia_smi, "remapped-rows", _ROWS)
        xids = kernel_log.xids(since_ms)
        return {gpu: _judge(gpu, facts, apps, rows, xids) for gpu in gpus}
    except Unreadable as error:
        return {gpu: _answer(healthy=None, why=str(error)) for gpu in gpus}


def utilization(config: HostConfig) -> dict[str, int]:
    """How busy each real GPU is, in percent, by UUID; those that don't say are left out."""
    try:
        rows = _table(config.nvidia_smi, "gpu", ("uuid", "utilization.gpu"))
    except Unreadable:
        return {}
    return {uuid: int(percent) for uuid, percent in rows if percent.isdecimal()}


def _judge(
    gpu: str,
    facts: list[tuple[str, ...]],
    apps: list[tuple[str, ...]],
    rows: list[tuple[str, ...]],
    xids: dict[str, set[int]],
) -> dict[str, Any]:
    mine = [fact for fact in facts if fact[0] == gpu]
    if len(mine) != 1:
        return _answer(healthy=False, why="nvidia-smi does not know this GPU any more")
    _, bus, used, ecc = mine[0]
    broken = sorted(xids.get(kernel_log.bus_key(bus), set()))
    remapped = [word for row in rows if row[0] == gpu for word in row[1:]]
    if broken:
        return _answer(healthy=False, why=f"Xid {', '.join(map(str, broken))} in the kernel's log")
    if _count(ecc):
        return _answer(healthy=False, why=f"{_count(ecc)} uncorrectable ECC errors")
    if any(word not in ("No", "0", *_ABSENT) for word in remapped):
        return _answer(healthy=False, why="memory rows wait to be remapped, or could not be")
    return _idle([app[1] for app in apps if app[0] == gpu], _count(used))


def _idle(pids: list[str], used_mib: int) -> dict[str, Any]:
    if pids:
        return _answer(healthy=None, why=f"processes are still on it: {', '.join(pids)[:80]}")
    if used_mib > IDLE_MIB:
        return _answer(healthy=None, why=f"{used_mib} MiB of its memory are still in use")
    return _answer(healthy=True, why="")


def _answer(*, healthy: bool | None, why: str) -> dict[str, Any]:
    return {"healthy": healthy, "why": why}


def _count(text: str) -> int:
    """A count; a GPU without the counter has none."""
    if text in _ABSENT:
        return 0
    if not text.isdecimal():
        raise Unreadable(f"nvidia-smi: {text[:40]!r} is no count")
    return int(text)


def _table(program: str, what: str, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """One query over all GPUs: exactly these columns in every row."""
    command = [program, f"--query-{what}={','.join(columns)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreadable(f"nvidia-smi cannot run: {type(error).__name__}") from error
    if done.returncode:
        raise Unreadable(
            f"nvidia-smi ended with {done.returncode}: {(done.stdout + done.stderr).strip()[:200]}"
        )
    rows = [tuple(word.strip() for word in row) for row in csv.reader(done.stdout.splitlines()) if row]
    if any(len(row) != len(columns) for row in rows):
        raise Unreadable(f"nvidia-smi: --query-{what} did not answer with {len(columns)} columns")
    return rows

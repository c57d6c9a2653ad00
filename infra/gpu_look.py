"""Which GPUs a host has, asked of its NVIDIA driver by SSH, where the stack does not name them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from infra.faults import UNAVAILABLE, Fault
from infra.inventory import ssh_options
from infra.stack_parts import Gpu, Host

LIMIT_S = 60
QUERY = "nvidia-smi --query-gpu=uuid,name --format=csv,noheader"


def gpus_of(host: Host, known_hosts: Path) -> tuple[Gpu, ...]:
    """The host's GPUs in the driver's order.

    Args:
        host: with its address.
        known_hosts: the file of SSH keys that hosts are recognised by.

    Raises:
        Fault: it cannot be reached, or no driver answers there.
    """
    key = ["-i", str(host.key_file)] if host.key_file else []
    words = ["ssh", "-T", "-o", "ConnectTimeout=15", *ssh_options(host, known_hosts).split(), *key]
    command = [*words, "-p", str(host.port), "-l", host.user, host.address, QUERY]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unknown(host, str(error)) from error
    lines = [line.partition(",") for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not lines:
        raise _unknown(host, done.stderr.strip()[-300:] or "no GPU was listed")
    return tuple(Gpu(uuid=uuid.strip(), model=model.strip()) for uuid, _, model in lines)


def _unknown(host: Host, why: str) -> Fault:
    to_do = "Install its driver, or say `gpus` or `simulated_gpus` in the stack's file; then run it again."
    return Fault(f"Which GPUs {host.name} has is not known: {why}", to_do, UNAVAILABLE)

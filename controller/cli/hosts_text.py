"""How commands about hosts say what a host has."""

from __future__ import annotations

from controller.services.hosts import HostView

ARRIVING = "its image is on its way; it is taken into use with it"


def gpu_counts(host: HostView) -> str:
    """How many GPUs are in which state."""
    counts: dict[str, int] = {}
    for gpu in host.gpus:
        counts[gpu.state] = counts.get(gpu.state, 0) + 1
    text = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none"
    return f"{text} (simulated)" if host.simulated else text

"""How commands about hosts say what a host has."""

from __future__ import annotations

from controller.domain.gpu_models import host_label
from controller.services.hosts.registry import HostView

ARRIVING = "its image is on its way; it is taken into use with it"


def gpu_counts(host: HostView) -> str:
    """How many GPUs are in which state, and the model that people can choose the host by."""
    counts: dict[str, int] = {}
    for gpu in host.gpus:
        counts[gpu.state] = counts.get(gpu.state, 0) + 1
    text = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none"
    label = host_label(gpu.model for gpu in host.gpus)
    notes = [*(["simulated"] if host.simulated else []), *([label] if label not in ("", "simulated") else [])]
    return f"{text} ({', '.join(notes)})" if notes else text

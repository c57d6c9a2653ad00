"""What `axonos hosts` says of a host's GPUs in one line."""

from __future__ import annotations

from typing import Any

import pytest

from controller.cli.hosts_text import gpu_counts
from controller.services.hosts.registry import GpuView, HostView


def host(*models: str, simulated: bool = False) -> HostView:
    gpus = [GpuView(f"G{n}", n, model, "free", None, None, None) for n, model in enumerate(models)]
    nothing: dict[str, Any] = dict.fromkeys(("last_report_at_ms", "image_id", "health", "health_at_ms"))
    return HostView("h", "a", "ssh", "ready", simulated, "wss://h", problems=[], gpus=gpus, **nothing)


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (host("H100", "H100"), "2 free (H100)"),
        (host("H100", "A100"), "2 free"),
        (host("unknown"), "1 free"),
        (host("simulated", simulated=True), "1 free (simulated)"),
        (host("H100", simulated=True), "1 free (simulated, H100)"),
        (host(), "none"),
    ],
)
def test_gpus_are_counted_by_state_with_the_model_people_choose(seen: HostView, line: str) -> None:
    assert gpu_counts(seen) == line

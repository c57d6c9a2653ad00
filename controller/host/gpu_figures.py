"""`python -m controller.host.gpu_figures FOLDER`: figures of the GPUs for Prometheus, as a text file.

The node exporter shows the file. A driver that does not answer is a figure as well: `axonos_gpu_driver_up 0`.
"""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from controller.host.config import default_path, load

EVERY_S = 15
ASK_S = 10
# nvidia-smi's name, ours, what it is, and what its number is multiplied with.
FIGURES = (
    ("utilization.gpu", "utilisation_ratio", "share of the last moments in which the GPU worked", 0.01),
    ("memory.used", "memory_used_bytes", "memory in use", 1 << 20),
    ("memory.total", "memory_total_bytes", "memory in all", 1 << 20),
    ("temperature.gpu", "temperature_celsius", "temperature", 1),
    ("power.draw", "power_watts", "power drawn", 1),
    ("ecc.errors.uncorrected.volatile.total", "uncorrected_errors", "memory errors since the boot", 1),
)


def main() -> None:
    """Entry of the service; it ends on SIGTERM."""
    folder = Path(sys.argv[1])
    config = load(default_path("axonos"))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    while True:
        put(folder / "gpus.prom", text(ask(config.nvidia_smi)))
        if stopping.wait(EVERY_S):
            return


def ask(program: str) -> str | None:
    """What the driver says, a line a GPU; None where it does not answer."""
    query = ",".join(["uuid", "name", *(name for name, *_ in FIGURES)])
    asked = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def text(said: str | None) -> str:
    r"""Prometheus' text format. What a card does not know is left out.

    >>> text(None)
    '# TYPE axonos_gpu_driver_up gauge\naxonos_gpu_driver_up 0\n'
    """
    lines = ["# TYPE axonos_gpu_driver_up gauge", f"axonos_gpu_driver_up {int(said is not None)}"]
    rows = [[cell.strip() for cell in row] for row in csv.reader((said or "").splitlines()) if row]
    for column, (_, name, what, factor) in enumerate(FIGURES, start=2):
        found = [(row[0], row[1], _number(row[column])) for row in rows if len(row) == len(FIGURES) + 2]
        known = [(uuid, model, value) for uuid, model, value in found if value is not None]
        if known:
            lines += [f"# HELP axonos_gpu_{name} {what}", f"# TYPE axonos_gpu_{name} gauge"]
        for uuid, model, value in known:
            labels = f'uuid="{_quoted(uuid)}",model="{_quoted(model)}"'
            lines.append(f"axonos_gpu_{name}{{{labels}}} {value * factor:.10g}")
    return "\n".join(lines) + "\n"


def put(path: Path, content: str) -> None:
    """Replace the file at once: whoever reads sees the old one or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(content)
    os.replace(fresh, path)  # noqa: PTH105 -- the same, and says what matters


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _quoted(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')


if __name__ == "__main__":
    main()

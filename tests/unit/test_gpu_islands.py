"""Islands of GPUs from nvidia-smi's matrix: NVLink first, else PCIe switches, else nothing is claimed."""

from __future__ import annotations

import pytest

from infra.up.gpu_islands import islands

HEAD = "\t\x1b[4mGPU0\tGPU1\tGPU2\tGPU3\tNIC0\tCPU Affinity\tNUMA Affinity\x1b[0m\n"
PAIRS = HEAD + (
    "GPU0\t X \tNV12\tSYS\tSYS\tPXB\t0-15\t0\n"
    "GPU1\tNV12\t X \tSYS\tSYS\tPXB\t0-15\t0\n"
    "GPU2\tSYS\tSYS\t X \tNV12\tSYS\t16-31\t1\n"
    "GPU3\tSYS\tSYS\tNV12\t X \tSYS\t16-31\t1\n"
    "NIC0\tPXB\tPXB\tSYS\tSYS\t X \n\nLegend:\n  X    = Self\n  NV#  = Connection traversing NVLinks\n"
)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (PAIRS, ["island-0", "island-0", "island-2", "island-2"]),
        (PAIRS.replace("NV12", "PIX"), ["island-0", "island-0", "island-2", "island-2"]),
        (PAIRS.replace("SYS", "NV18"), ["island-0"] * 4),
        (PAIRS.replace("NV12", "PHB"), [None] * 4),
        (PAIRS.replace("GPU2\t", "GPUx\t"), [None] * 4),
        ("", [None] * 4),
    ],
)
def test_islands_are_what_the_links_make_them(matrix, expected):
    assert islands(matrix, 4) == expected


def test_nvlink_counts_before_switches():
    mixed = PAIRS.replace("GPU1\tNV12\t X \tSYS", "GPU1\tNV12\t X \tPIX")
    assert islands(mixed, 4) == ["island-0", "island-0", "island-2", "island-2"]

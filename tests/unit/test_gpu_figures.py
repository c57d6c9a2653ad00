"""GPU figures in Prometheus' text format."""

from __future__ import annotations

from pathlib import Path

from controller.host.gpu_figures import ask, put, text

SAID = "GPU-1, NVIDIA H100, 42, 100, 81559, 51, 300.25, 0\nGPU-2, NVIDIA T4, 0, 1, 15360, 40, 10, [N/A]\n"


def test_each_gpu_has_its_figures_and_what_a_card_does_not_know_is_left_out() -> None:
    lines = text(SAID).splitlines()
    assert "axonos_gpu_driver_up 1" in lines
    assert 'axonos_gpu_utilisation_ratio{uuid="GPU-1",model="NVIDIA H100"} 0.42' in lines
    assert 'axonos_gpu_memory_used_bytes{uuid="GPU-2",model="NVIDIA T4"} 1048576' in lines
    assert [line for line in lines if line.startswith("axonos_gpu_uncorrected_errors{")] == [
        'axonos_gpu_uncorrected_errors{uuid="GPU-1",model="NVIDIA H100"} 0'
    ]


def test_a_driver_that_does_not_answer_is_a_figure(tmp_path: Path) -> None:
    broken = tmp_path / "nvidia-smi"
    broken.write_text("#!/bin/sh\nexit 9\n")
    broken.chmod(0o755)
    for program in (str(broken), "/nonexistent"):
        assert text(ask(program)).splitlines()[-1] == "axonos_gpu_driver_up 0"


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "gpus.prom"
    put(path, "one\n")
    put(path, "two\n")
    assert path.read_text() == "two\n"
    assert list(tmp_path.iterdir()) == [path]

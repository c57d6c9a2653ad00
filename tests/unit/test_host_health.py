"""What is wrong with a host, from what it says of itself."""

from __future__ import annotations

from controller.domain.host_health import OLD_MS, problems

WELL = {
    "engine": "28.0.1",
    "homes_mounted": True,
    "disk_free_mib": 9_000,
    "homes_free_mib": 500,
    "homes_total_mib": 1_000,
    "memory_free_mib": 900,
    "memory_total_mib": 1_000,
    "load_1m": 1.0,
    "cpus": 2,
}


def test_a_host_that_is_well_has_no_problem() -> None:
    assert problems(WELL, 0, []) == []
    assert problems(WELL | {"gpus": ["GPU-1"]}, OLD_MS, ["GPU-1"]) == []


def test_homes_that_lie_elsewhere_than_all_others_are_told() -> None:
    own, other = WELL | {"homes_btrfs": True}, WELL | {"homes_btrfs": False}
    assert (
        problems(own, 0, [])
        == problems(other, 0, [], shared=True)
        == problems(WELL, 0, [], shared=True)
        == []
    )
    assert problems(own, 0, [], shared=True) == [
        "its homes lie on its own disk, not on the shared file system"
    ]
    assert problems(other, 0, []) == ["its homes do not lie on btrfs: they cannot be sent to another host"]


def test_each_problem_is_a_sentence() -> None:
    ill = {
        "homes_mounted": False,
        "disk_free_mib": 10,
        "homes_free_mib": 1,
        "homes_total_mib": 100,
        "memory_free_mib": 1,
        "memory_total_mib": 100,
        "load_1m": 9.0,
        "cpus": 2,
        "gpus": ["GPU-1"],
    }
    assert problems(ill, OLD_MS + 1, ["GPU-1", "GPU-2"]) == [
        "it has not said how it is for 120 s",
        "its Docker engine does not answer",
        "the homes are not mounted",
        "10 MiB are free on its disk",
        "1 % are free where the homes lie",
        "1 % of its memory are free",
        "load 9.0 on 2 processors",
        "the driver does not answer for GPU-2",
    ]


def test_a_host_that_never_said_anything_is_told_of() -> None:
    assert problems(None, None, []) == ["it has not said yet how it is"]

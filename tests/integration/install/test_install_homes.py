from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from install_kit import things

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("mkfs.btrfs"), reason="needs btrfs-progs"),
]


@pytest.fixture
def place(converge, tmp_path: Path) -> Iterator[dict]:
    found = {"file": str(tmp_path / "homes.btrfs"), "mount": str(tmp_path / "homes"), "size_gib": 1}
    yield found
    converge("homes", state="unmounted", **found)


def test_the_homes_are_made_once_with_quotas_and_keep_their_files(converge, place: dict) -> None:
    assert things(converge("homes", check=True, **place)) == [
        f"{place['file']}: missing",
        f"{place['mount']}: not mounted",
    ]
    converge("homes", **place)
    home = Path(place["mount"]) / "0xabc"
    subprocess.run(["btrfs", "-q", "subvolume", "create", home], check=True)
    (home / "file").write_text("kept\n")
    assert things(converge("homes", check=True, **place)) == []
    assert things(converge("homes", **place)) == []

    unmounted = things(converge("homes", state="unmounted", **place))
    assert unmounted[0] == f"{place['mount']}: unmounted"
    assert unmounted[1].endswith(": detached")
    assert things(converge("homes", check=True, **place)) == [f"{place['mount']}: not mounted"]
    converge("homes", **place)
    assert (home / "file").read_text() == "kept\n"


def test_an_interruption_while_formatting_leaves_nothing_that_counts(converge, place: dict) -> None:
    half = Path(place["file"]).with_suffix(".new")
    half.write_bytes(b"half")
    converge("homes", **place)
    assert not half.exists()
    assert Path(place["mount"]).is_mount()


def test_another_file_with_a_loop_device_is_not_taken_for_ours(converge, place: dict, tmp_path: Path) -> None:
    other = tmp_path / "other.img"
    subprocess.run(["truncate", "-s", "16M", other], check=True)
    taken = subprocess.run(["losetup", "--find", "--show", other], check=True, capture_output=True, text=True)
    try:
        assert converge("homes", **place)["device"] != taken.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", taken.stdout.strip()], check=True)

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed
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


@pytest.fixture
def disk(tmp_path: Path, place: dict, converge) -> Iterator[str]:
    """A disk that is empty: a loop device over a file that lies elsewhere than the homes' own would."""
    image = tmp_path / "disk.img"
    subprocess.run(["truncate", "-s", "256M", image], check=True)
    found = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
    device = found.stdout.strip()
    yield device
    subprocess.run(["umount", "-q", place["mount"]], check=False)
    subprocess.run(["losetup", "--detach", device], check=True)


def test_a_disk_is_formatted_once_and_grown_in_use(converge, place: dict, disk: str, tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to(disk)
    on_disk = place | {"disk": str(link)}
    expected = [f"{link}: not formatted", f"{place['mount']}: not mounted"]
    assert things(converge("homes", check=True, **on_disk)) == expected
    assert converge("homes", **on_disk)["device"] == disk
    assert not Path(place["file"]).exists()
    assert things(converge("homes", **on_disk)) == [], "quotas are on, nothing is left to do"
    kept = Path(place["mount"]) / "file"
    kept.write_text("kept\n")

    subprocess.run(["truncate", "-s", "320M", tmp_path / "disk.img"], check=True)
    subprocess.run(["losetup", "--set-capacity", disk], check=True)
    grown = [f"{place['mount']}: 256 MiB of a disk of 320"]
    assert things(converge("homes", check=True, **on_disk)) == grown
    assert things(converge("homes", **on_disk)) == grown
    assert things(converge("homes", **on_disk)) == []
    subprocess.run(["umount", place["mount"]], check=True)
    converge("homes", **on_disk)
    assert kept.read_text() == "kept\n", "a disk that holds homes is mounted as it is"


def test_homes_are_never_wiped_nor_hidden(converge, place: dict, disk: str) -> None:
    on_disk = place | {"disk": disk}
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    with pytest.raises(CommandFailed, match=r"holds ext4\. It is not wiped"):
        converge("homes", **on_disk)
    subprocess.run(["wipefs", "-qa", disk], check=True)
    with pytest.raises(CommandFailed, match="there is no disk /dev/none"):
        converge("homes", **place | {"disk": "/dev/none"})
    converge("homes", **place)
    with pytest.raises(CommandFailed, match=r"they lie in .* already"):
        converge("homes", **on_disk)


@pytest.fixture
def share(place: dict) -> dict:
    """A file system of a kind that needs no server: the kernel names it as it was named."""
    named = {"shared": "files:/homes", "shared_type": "tmpfs", "shared_options": "noatime,size=1m"}
    return place | named


def test_a_shared_file_system_is_mounted_as_it_is(converge, share: dict) -> None:
    expected = [f"{share['mount']}: not mounted"]
    told = converge("homes", check=True, **share)
    assert things(told) == expected
    assert told["diff"][0]["after"] == "not mounted\n"
    made = converge("homes", **share)
    assert (things(made), made["device"]) == (expected, "files:/homes")
    kept = Path(share["mount"]) / "file"
    assert list(kept.parent.iterdir()) == [], "what was tried there is gone"
    kept.write_text("kept\n")
    assert things(converge("homes", check=True, **share)) == []
    assert things(converge("homes", **share)) == []
    assert kept.read_text() == "kept\n"
    assert not Path(share["file"]).exists()
    assert things(converge("homes", state="unmounted", **share)) == [f"{share['mount']}: unmounted"]


def test_a_shared_file_system_hides_no_homes(converge, share: dict) -> None:
    file, mount = Path(share["file"]), Path(share["mount"])
    with pytest.raises(CommandFailed, match="Choose one"):
        converge("homes", **share | {"disk": "/dev/none"})
    file.touch()
    with pytest.raises(CommandFailed, match=r"they lie in .* already"):
        converge("homes", **share)
    file.unlink()
    mount.mkdir()
    (mount / "0xabc").mkdir()
    with pytest.raises(CommandFailed, match="which a mount would hide"):
        converge("homes", **share)
    (mount / "0xabc").rmdir()
    converge("homes", **share)
    with pytest.raises(CommandFailed, match=r"files:/homes is mounted at .*, not other:/homes"):
        converge("homes", **share | {"shared": "other:/homes"})
    with pytest.raises(CommandFailed, match="they lie on files:/homes already"):
        converge("homes", **share | {"shared": ""})
    with pytest.raises(CommandFailed, match="is no file system to mount"):
        converge("homes", **share | {"shared": "files:/my homes"})


def test_a_share_where_root_is_not_root_is_refused(converge, share: dict, monkeypatch) -> None:
    def squashed(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.chown", squashed)
    with pytest.raises(CommandFailed, match="no_root_squash"):
        converge("homes", **share)
    assert not Path(share["mount"]).is_mount()

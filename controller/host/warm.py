"""Desktops that wait: painted in a home that is nobody's, frozen, and given the home of whoever claims them.

The container has a folder of ours as /home, through which mounts made later come to it. What is mounted in
it at `axon` decides whose desktop it is: first a small empty tmpfs, which goes away for ever when a home
comes. It sees no other mount of the host, and a desktop that was given a home is never given another.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.host.attempt import Start, asked
from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.names import Slot
from controller.host.words import HostRefused

HOMES_INSIDE = "/home"
PERSON = "axon"
UNCLAIMED_SHARES, USUAL_SHARES = 2, 1024
FIRST_TO_GO, AS_OTHERS = 900, 0
MEMINFO = Path("/proc/meminfo")


def make_place(config: HostConfig, slot: Slot) -> Path:
    """The folder that becomes /home, with a home that is nobody's in it.

    Raises:
        HostRefused: docker_error, when it cannot be mounted.
    """
    place = slot.place
    place.parent.mkdir(mode=0o711, exist_ok=True)
    remove_place(slot)
    place.mkdir(mode=0o700)
    _mount("-t", "tmpfs", "-o", "size=64k,nr_inodes=8,mode=755,nosuid,nodev,noexec", "axonos", place)
    _mount("--make-shared", place)
    (place / PERSON).mkdir(mode=0o700)
    uid = config.session_uid
    nobodys = f"size=8m,nr_inodes=2k,mode=700,uid={uid},gid={uid},nosuid,nodev,noexec"
    _mount("-t", "tmpfs", "-o", nobodys, "axonos", place / PERSON)
    return place


def give_home(slot: Slot, home: Path) -> None:
    """Put a home where nobody's was, on the host and inside alike. Done already, nothing happens.

    Raises:
        HostRefused: docker_error; config_conflict, if it is somebody else's already.
    """
    person = slot.place / PERSON
    if has_home(slot, home):
        return
    if person.is_mount():  # else a claim of this very slot was killed in between
        if _kind(person) != "tmpfs":
            raise HostRefused("config_conflict", f"slot {slot.id} has another home")
        _umount(person)
    _mount("--bind", home, person)


def has_home(slot: Slot, home: Path) -> bool:
    """Whether a slot that waited was given this home."""
    person = slot.place / PERSON
    return person.exists() and person.samefile(home)


def remove_place(slot: Slot) -> bool:
    """Unmount and remove the folder; homes stay. False if there was none."""
    place = slot.place
    if not place.exists():
        return False
    while (place / PERSON).is_mount():
        _umount(place / PERSON)
    while place.is_mount():
        _umount(place)
    place.rmdir()
    return True


def is_place_of(info: dict[str, Any]) -> bool:
    """Whether an inspected container is one that waits, or has waited."""
    return any(mount["Destination"] == HOMES_INSIDE for mount in info["Mounts"])


def freeze(run: Start) -> int:
    """Stop a painted desktop's every process; returns the MiB of memory it holds."""
    path = f"/containers/{run.slot.container}"
    _unless(run.engine, "POST", f"{path}/pause")
    first = asked(run.engine, "GET", f"{path}/json")["State"]["Pid"]
    family = _family(int(first))
    _set_spare(family, FIRST_TO_GO)
    return sum(map(_pss_kib, family)) >> 10


def thaw(run: Start, first: int) -> None:
    """Let a frozen desktop go on. Done already, nothing happens. `first` is its init's process id."""
    _set_spare(_family(first), AS_OTHERS)
    _unless(run.engine, "POST", f"/containers/{run.slot.container}/unpause")


def check_room(reserve_mib: int) -> None:
    """Refuse to fill a machine that has no memory to spare.

    Raises:
        HostRefused: no_memory.
    """
    for line in MEMINFO.read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable" and int(rest.split()[0]) >> 10 < reserve_mib:
            raise HostRefused("no_memory", f"less than {reserve_mib} MiB of memory are available")


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _set_spare(pids: list[int], score: int) -> None:
    """How gladly the kernel ends processes when memory runs out: those that nobody uses first."""
    for pid in pids:
        with suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))


def _pss_kib(pid: int) -> int:
    """A process's memory, what it shares counted in parts."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _unless(engine: Engine, method: str, path: str) -> None:
    """A call that may have been made before."""
    try:
        engine.call(method, path)
    except EngineRefused as error:
        if "paused" not in error.message.lower():  # "already paused", "is not paused"
            raise HostRefused("docker_error", error.message) from error


def _kind(mounted: Path) -> str:
    """The file system that is mounted at a folder."""
    where = os.path.realpath(mounted)
    kinds = [
        line.split(" - ")[1].split()[0]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4] == where
    ]
    return kinds[-1] if kinds else ""


def _mount(*words: str | Path) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise HostRefused("docker_error", f"mount: {done.stderr.strip()[:300]}")


def _umount(where: Path) -> None:
    """Lazily: whatever still holds on to it keeps it, unseen by everybody else."""
    done = subprocess.run(
        ["umount", "--lazy", where], capture_output=True, text=True, timeout=20, check=False
    )
    if done.returncode and where.is_mount():
        raise HostRefused("docker_error", f"umount: {done.stderr.strip()[:300]}")

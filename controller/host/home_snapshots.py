"""Read-only snapshots of homes: what is sent to another host, and what came from one.

A snapshot counts only once its note (`NAME.ok`) is there: written after it was taken whole or received whole.
The same name on two hosts means the same content; its identity is the UUID it was first taken under.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.host import home_fence
from controller.host.words import HostRefused

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
LOCK_WAIT_S = 20
OWN = "s-"  # what an owner kept
PUT_AWAY = "put-away"  # and, on its way to another host, with a generation behind it
KEPT = ("lost-", OWN, PUT_AWAY)


@contextmanager
def alone(homes_dir: Path, wallet: str) -> Iterator[Path]:
    """Hold a wallet's snapshots against other processes; yields their folder.

    Raises:
        HostRefused: volume_busy, when another transfer of the same home takes too long.
    """
    if not homes_dir.is_mount():
        raise HostRefused("volume_busy", f"{homes_dir} is not mounted")
    where = home_fence.folder(homes_dir, wallet)
    where.parent.mkdir(mode=0o700, exist_ok=True)
    where.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(where / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor)
        yield where
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    give_up = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise HostRefused("volume_busy", "another transfer of this home is under way") from None
            time.sleep(0.05)
        else:
            return


def listed(where: Path) -> dict[str, str]:
    """Every whole snapshot by name, with its identity."""
    found = {}
    for note in where.glob("*.ok"):
        name = note.name.removesuffix(".ok")
        if NAME.fullmatch(name) and (where / name).is_dir():
            found[name] = str(json.loads(note.read_text())["identity"])
    return found


def take(home: Path, where: Path, name: str) -> str:
    """A snapshot of a home as it is now, unless one of this name is there. Returns its identity."""
    known = listed(where)
    if name in known:
        return known[name]
    remove(where, name)
    btrfs("subvolume", "snapshot", "-r", *counted_with(where), str(home), str(where / name))
    identity = uuid_of(where / name)
    note(where, name, identity)
    return identity


def counted_with(where: Path) -> list[str]:
    """How a snapshot joins the quota group of its home (`home_usage`), where there is one."""
    try:
        return ["-i", f"1/{int((where / 'group').read_text())}"]
    except FileNotFoundError:
        return []


def note(where: Path, name: str, identity: str) -> None:
    """Write down that a snapshot is whole; after the file system has it on disk."""
    btrfs("filesystem", "sync", str(where))
    new = where / f"{name}.new"
    with new.open("w") as file:
        file.write(json.dumps({"identity": identity}))
        file.flush()
        os.fsync(file.fileno())
    new.replace(where / f"{name}.ok")


def remove(where: Path, name: str) -> None:
    """Remove a snapshot, whole or not; the note first."""
    (where / f"{name}.ok").unlink(missing_ok=True)
    if (where / name).is_dir():
        btrfs("subvolume", "delete", str(where / name))


def remove_put_away(where: Path) -> None:
    """Remove what was put away, of whatever time; the home itself is there."""
    for path in sorted(where.iterdir()):
        if path.is_dir() and path.name.startswith(PUT_AWAY):
            remove(where, path.name)


def keep_only(where: Path, names: set[str]) -> list[str]:
    """Remove all other snapshots, except what nobody else has.

    Those are `KEPT`: of the owner, a home that was put away, and what was written on a host believed dead.

    Returns:
        what was removed.
    """
    found = {path.name for path in where.iterdir() if path.is_dir() and NAME.fullmatch(path.name)}
    gone = sorted(name for name in found - names if not name.startswith(KEPT))
    for name in gone:
        remove(where, name)
    return gone


def is_btrfs(homes_dir: Path) -> bool:
    """Whether homes are subvolumes there, with snapshots and quotas; else they are plain folders."""
    where = os.path.realpath(homes_dir)
    lines = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    kinds = [words[words.index("-") + 1] for words in lines if words[4] == where]
    return kinds[-1:] == ["btrfs"]


def uuid_of(path: Path) -> str:
    """The identity of a subvolume: where it came from another host, the one it had there."""
    lines = (line.partition(":") for line in btrfs("subvolume", "show", str(path)).splitlines())
    shown = {key.strip(): value.strip() for key, _, value in lines}
    received = shown.get("Received UUID", "-")
    return shown["UUID"] if received in ("", "-") else received


def is_read_only(path: Path) -> bool:
    """Whether nobody can write to a subvolume."""
    return "ro=true" in btrfs("property", "get", "-ts", str(path), "ro")


def set_read_only(path: Path) -> None:
    """Let nobody write to a subvolume any more, whoever has files of it open."""
    btrfs("property", "set", "-ts", str(path), "ro", "true")


def btrfs(*words: str) -> str:
    """Run btrfs.

    Raises:
        HostRefused: disk_full, or home_unmovable with btrfs's own words.
    """
    done = subprocess.run(["btrfs", *words], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        said = done.stderr.strip()[-300:]
        full = "No space left" in said or "quota exceeded" in said.lower()
        raise HostRefused("disk_full" if full else "home_unmovable", f"btrfs {words[0]} {words[1]}: {said}")
    return done.stdout

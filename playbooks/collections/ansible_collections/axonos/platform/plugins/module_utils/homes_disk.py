"""A whole disk under the homes: formatted once where it is empty, grown with the disk, never wiped."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ansible_collections.axonos.platform.plugins.module_utils.differences import (
    CommandFailed,
    Differences,
    run,
)

# What btrfs leaves unused at a disk's end; less than that is no growth.
SLACK = 1 << 20


def prepare(disk: Path, found: Differences, check: bool) -> Path:
    """The disk's device, with btrfs on it.

    Raises:
        CommandFailed: there is no such disk, or it holds something else: nothing is ever wiped.
    """
    device = Path(os.path.realpath(disk))
    if not device.exists() or not stat.S_ISBLK(device.stat().st_mode):
        raise CommandFailed(f"there is no disk {disk}. Is it attached?")
    holds = _content(device)
    if holds == "btrfs":
        return device
    if holds:
        raise CommandFailed(f"{disk} holds {holds}. It is not wiped: do that by hand, or name another disk")
    found.note(str(disk), "not formatted")
    if not check:
        run(["mkfs.btrfs", "--quiet", "--label", "axonos-homes", str(device)])
    return device


def grow(device: Path, mount: Path, found: Differences, check: bool) -> None:
    """Take what the disk has been enlarged by; the homes stay in use meanwhile."""
    whole = int(run(["blockdev", "--getsize64", str(device)]))
    listed = run(["btrfs", "filesystem", "usage", "--raw", str(mount)]).splitlines()
    used = next(int(line.split()[-1]) for line in listed if line.strip().startswith("Device size:"))
    if whole - used > SLACK:
        found.note(str(mount), f"{used >> 20} MiB of a disk of {whole >> 20}")
        if not check:
            run(["btrfs", "-q", "filesystem", "resize", "max", str(mount)])


def source_of(mount: Path) -> str:
    """The device or the shared file system that is mounted there; empty where nothing is."""
    if not mount.is_mount():
        return ""
    listed = run(["findmnt", "--noheadings", "--nofsroot", "--output", "SOURCE", "--mountpoint", str(mount)])
    last = (listed.split() or [""])[-1]
    return os.path.realpath(last) if last.startswith("/") else last


def _content(device: Path) -> str:
    """What the disk holds, read from the disk itself: a file system, a table of partitions, or nothing."""
    told = run(["blkid", "--probe", "--output", "export", str(device)], check=False)
    words = dict(line.partition("=")[::2] for line in told.splitlines())
    return words.get("TYPE") or (f"a {words['PTTYPE']} table of partitions" if "PTTYPE" in words else "")

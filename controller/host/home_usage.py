"""How much each home takes up, by the file system's own count, and the most it may.

A home and its snapshots are one quota group of btrfs: a block that several of them share counts once. What
only a replica of a move holds is taken off again; were replicas no members, btrfs would have to count the
whole disk anew for each. The group's number is kept beside the wallet's fence; none is given out twice.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controller.host import home_fence, home_snapshots
from controller.host.words import HostRefused

WALLET = re.compile(r"0x[0-9a-f]{40}")
SNAPSHOT = re.compile(rf"{re.escape(home_fence.FOLDER)}/(0x[0-9a-f]{{40}})/([a-z0-9.-]+)")
DEFAULT = "quota"
OWNED = ("s-", "put-away")  # snapshots of the owner, and a home that was put away


@dataclass(frozen=True)
class Counted:
    """A group as btrfs has it: bytes in all, bytes that nobody else has, and the limit, 0 for none."""

    bytes: int
    alone: int
    limit: int


@dataclass
class Lying:
    """What of a wallet lies on this host: its home or a snapshot, and the groups of single replicas."""

    path: Path
    is_kept: bool
    replicas: list[str]


def group(homes_dir: Path, wallet: str) -> str | None:
    """The quota group of a wallet's home; None before there is one."""
    with suppress(FileNotFoundError):
        return f"1/{int((home_fence.folder(homes_dir, wallet) / 'group').read_text())}"
    return None


def join(homes_dir: Path, wallet: str, subvolume: Path) -> str:
    """Count a subvolume as the wallet's; its group is made, and limited, if there is none yet.

    To be called on a subvolume that is empty or was never shared, else btrfs counts everything anew.
    """
    number = home_snapshots.btrfs("inspect-internal", "rootid", str(subvolume)).strip()
    found = group(homes_dir, wallet) or _make_group(homes_dir, wallet, number)
    home_snapshots.btrfs("qgroup", "assign", "--no-rescan", f"0/{number}", found, str(homes_dir))
    return found


def _make_group(homes_dir: Path, wallet: str, number: str) -> str:
    found = f"1/{number}"
    try:
        home_snapshots.btrfs("qgroup", "create", found, str(homes_dir))
    except HostRefused as refused:
        if "exists" not in str(refused):  # made before a crash
            raise
    if most := default_quota(homes_dir):
        limit(homes_dir, found, most)
    where = home_fence.folder(homes_dir, wallet)
    where.parent.mkdir(mode=0o700, exist_ok=True)
    where.mkdir(mode=0o700, exist_ok=True)
    new = where / "group.new"
    new.write_text(number)
    new.replace(where / "group")
    return found


def default_quota(homes_dir: Path) -> int:
    """The most bytes of a home that is made now, as the controller said last; 0 while it said nothing."""
    with suppress(OSError, ValueError):
        return int((homes_dir / home_fence.FOLDER / DEFAULT).read_text())
    return 0


def set_quotas(homes_dir: Path, default: int, others: dict[str, int]) -> None:
    """Limit every home: `default` bytes, or what `others` says of its wallet. Kept for homes to come."""
    (homes_dir / home_fence.FOLDER).mkdir(mode=0o700, exist_ok=True)
    new = homes_dir / home_fence.FOLDER / f"{DEFAULT}.new"
    new.write_text(str(default))
    new.replace(homes_dir / home_fence.FOLDER / DEFAULT)
    groups = _groups(homes_dir)
    for wallet, lying in _lying(homes_dir).items():
        found, most = group(homes_dir, wallet), others.get(wallet, default)
        most += _replicas(lying, groups) if most else 0
        if found in groups and groups[found].limit != most:
            limit(homes_dir, found, most)


def limit(homes_dir: Path, found: str, most: int) -> None:
    """Let a group take no more than so many bytes; 0 for no limit."""
    home_snapshots.btrfs("qgroup", "limit", str(most) if most else "none", found, str(homes_dir))


def measure(homes_dir: Path) -> dict[str, int]:
    """Bytes by wallet of every home and put-away home on this host.

    Returns:
        nothing for homes whose count is not known now: another file system, or btrfs counts anew.
    """
    if not homes_dir.is_mount():
        return {}
    try:
        lying = {wallet: one for wallet, one in _lying(homes_dir).items() if one.is_kept}
        for wallet, one in lying.items():
            if group(homes_dir, wallet) is None:
                join(homes_dir, wallet, one.path)
        groups = _groups(homes_dir)
    except HostRefused:
        return {}
    counted = {wallet: groups.get(group(homes_dir, wallet) or "") for wallet in lying}
    return {
        wallet: max(0, one.bytes - _replicas(lying[wallet], groups)) for wallet, one in counted.items() if one
    }


def _replicas(lying: Lying, groups: dict[str, Counted]) -> int:
    return sum(groups[name].alone for name in lying.replicas if name in groups)


def _lying(homes_dir: Path) -> dict[str, Lying]:
    found: dict[str, Lying] = {}
    for line in home_snapshots.btrfs("subvolume", "list", str(homes_dir)).splitlines():
        number, path = line.split()[1], line.partition(" path ")[2]
        snapshot = SNAPSHOT.fullmatch(path)
        if WALLET.fullmatch(path):
            one = found.setdefault(path, Lying(homes_dir / path, is_kept=True, replicas=[]))
            one.path, one.is_kept = homes_dir / path, True
        elif snapshot:
            one = found.setdefault(snapshot[1], Lying(homes_dir / path, is_kept=False, replicas=[]))
            if snapshot[2].startswith(OWNED):
                one.is_kept = True
            else:
                one.replicas.append(f"0/{number}")
    return found


def _groups(homes_dir: Path) -> dict[str, Counted]:
    """Every group, of single subvolumes and of wallets.

    Raises:
        HostRefused: home_unmovable; quotas are off, or counted anew, which is started where need be.
    """
    done = subprocess.run(
        ["btrfs", "qgroup", "show", "-r", "--raw", str(homes_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode or "inconsistent" in done.stderr or "rescan" in done.stderr:
        if not done.returncode:
            subprocess.run(
                ["btrfs", "quota", "rescan", str(homes_dir)], capture_output=True, timeout=60, check=False
            )
        raise HostRefused("home_unmovable", f"btrfs counts anew: {done.stderr.strip()[:200]}")
    rows = [line.split() for line in done.stdout.splitlines()]
    return {
        row[0]: Counted(int(row[1]), int(row[2]), 0 if row[3] == "none" else int(row[3]))
        for row in rows
        if len(row) >= 4 and row[0].startswith(("0/", "1/"))
    }

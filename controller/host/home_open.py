"""Opens a home for writing on this host, for the generation and from the content that the controller names.

A home that is open for this generation already is left alone. A missing home is never replaced by an empty
one unless the controller says that there is none anywhere.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from controller.host import home_fence, home_folder, home_snapshots, home_usage
from controller.host.config import HostConfig
from controller.host.home_fence import Fence
from controller.host.words import HostRefused

NEW = "new"


def is_open(config: HostConfig, wallet: str, generation: int) -> bool:
    """Whether the home lies here, writable, for this generation.

    Raises:
        HostRefused: home_fenced, when this host knows a later generation.
    """
    fence = home_fence.read(config.homes_dir, wallet)
    if fence.generation > generation:
        raise HostRefused("home_fenced", f"this host knows generation {fence.generation} of the home")
    known = fence.generation == generation and not fence.closed
    return known and (config.homes_dir / wallet).is_dir()


def open_(config: HostConfig, wallet: str, generation: int, base: str) -> None:
    """Open a home that is not open for this generation yet.

    Args:
        config: the host's.
        wallet: whose home.
        generation: the controller's count; this host is the only one it named for it.
        base: `new` where no home exists anywhere, the name of a snapshot that came, or empty: what lies here.

    Raises:
        HostRefused: home_fenced, home_missing, or what the file system refused.
    """
    with home_snapshots.alone(config.homes_dir, wallet) as where:
        open_held(config, wallet, generation, base, where)


def open_held(config: HostConfig, wallet: str, generation: int, base: str, where: Path) -> None:
    """`open_` for a caller that holds the wallet's snapshots, which lie in `where`."""
    if is_open(config, wallet, generation):  # another start was faster
        return
    fence = home_fence.read(config.homes_dir, wallet)
    if fence.generation == generation and fence.closed:
        raise HostRefused("home_fenced", f"this host gave the home up for generation {generation}")
    home = config.homes_dir / wallet
    if not home_snapshots.is_btrfs(config.homes_dir):
        _open_folder(home, where, is_anew=base == NEW and fence.generation < generation, is_new=base == NEW)
    elif base not in ("", NEW):
        _restore(home, where, base)
    elif base == "" and not home.is_dir():
        raise HostRefused("home_missing", f"{home} is not there, and it should be")
    elif base == NEW and home.is_dir() and fence.generation < generation and _is_subvolume(home):
        _put_aside(home, where)  # of a time before: its owner has begun anew
    elif home.is_dir() and _is_subvolume(home) and home_snapshots.is_read_only(home):
        _reopen(home)
    home_fence.write(config.homes_dir, wallet, Fence(generation))


def _open_folder(home: Path, where: Path, *, is_new: bool, is_anew: bool) -> None:
    """What lies here is all there is, whatever snapshot it was opened from elsewhere."""
    if not home.is_dir() and not is_new:
        raise HostRefused("home_missing", f"{home} is not there, and it should be")
    if home.is_dir() and is_anew:
        home_folder.put_aside(home, where)


def _restore(home: Path, where: Path, name: str) -> None:
    """The home becomes a writable copy of a snapshot; what lay here before is kept or known elsewhere."""
    if name not in home_snapshots.listed(where):
        raise HostRefused("home_missing", f"snapshot {name} is not here")
    fresh = where / "opening"
    if fresh.is_dir():
        home_snapshots.btrfs("subvolume", "delete", str(fresh))
    counted = home_snapshots.counted_with(where)
    home_snapshots.btrfs("subvolume", "snapshot", *counted, str(where / name), str(fresh))
    if home.is_dir():
        _put_aside(home, where)
    fresh.rename(home)
    if not counted:
        with suppress(HostRefused):  # without quotas it is not counted; the guard looks again
            home_usage.join(home.parent, home.name, home)
    home_snapshots.btrfs("filesystem", "sync", str(home))


def _put_aside(home: Path, where: Path) -> None:
    """A closed home was sent as a snapshot. One that is still writable was not: its writes are kept."""
    if not home_snapshots.is_read_only(home):
        home_snapshots.set_read_only(home)
        kept = f"lost-{time.time_ns()}"
        counted = home_snapshots.counted_with(where)
        home_snapshots.btrfs("subvolume", "snapshot", "-r", *counted, str(home), str(where / kept))
        home_snapshots.note(where, kept, home_snapshots.uuid_of(where / kept))
    home_snapshots.btrfs("subvolume", "delete", str(home))


def _reopen(home: Path) -> None:
    home_snapshots.btrfs("property", "set", "-ts", str(home), "ro", "false")


def _is_subvolume(home: Path) -> bool:
    return home.stat().st_ino == 256  # the inode of every btrfs subvolume's top

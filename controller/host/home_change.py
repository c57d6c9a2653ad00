"""Orders about a home as a whole: snapshot, drop, restore, put away, bring back, delete.

Orders are counted by the controller; one that comes late, after a later one, is refused, and one that was
carried out is not carried out again. Nothing of it looks inside a home.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.host import home_fence, home_folder, home_open, home_snapshots, home_usage, hostkeys
from controller.host.config import HostConfig
from controller.host.home_fence import Fence
from controller.host.home_request import ChangeRequest
from controller.host.home_snapshots import PUT_AWAY
from controller.host.leases import Leases
from controller.host.words import HostRefused

ALONE = ("restore", "prune", "recover", "delete")  # not while a session has the home


def change(config: HostConfig, request: ChangeRequest) -> dict[str, Any]:
    """Carry out one order.

    Raises:
        HostRefused: stale_token after a later order; home_fenced or home_missing as for a start; volume_busy
            while a session has the home; bad_input where the named snapshot is not here.
    """
    with home_snapshots.alone(config.homes_dir, request.home) as where:
        done = _last(where)
        if done > request.token:
            raise HostRefused("stale_token", f"order {done} came before order {request.token}")
        if done == request.token:
            return {"ok": True, "changed": False}
        leases = Leases(config.run_dir)
        with leases.changing():
            if request.what in ALONE and any(lease.home == request.home for lease in leases.all()):
                raise HostRefused("volume_busy", "a session has this home")
            _ACTS[request.what](config, request, where)
        _keep_last(where, request.token)
    return {"ok": True, "changed": True}


def _snapshot(config: HostConfig, request: ChangeRequest, where: Path) -> None:
    _check_kept(config)
    home_snapshots.take(_home(config, request, where), where, request.name)


def _drop(config: HostConfig, request: ChangeRequest, where: Path) -> None:
    _check_kept(config)
    home_snapshots.remove(where, request.name)


def _restore(config: HostConfig, request: ChangeRequest, where: Path) -> None:
    """What the home is now is kept as the snapshot `keep` first."""
    _check_kept(config)
    if request.name not in home_snapshots.listed(where):
        raise HostRefused("bad_input", f"snapshot {request.name} is not on this host")
    home = _home(config, request, where)
    home_snapshots.take(home, where, request.keep)
    _replace(home, where, request.name)


def _prune(config: HostConfig, request: ChangeRequest, where: Path) -> None:
    home, is_btrfs = config.homes_dir / request.home, home_snapshots.is_btrfs(config.homes_dir)
    away = PUT_AWAY in home_snapshots.listed(where) if is_btrfs else (where / PUT_AWAY).is_dir()
    if not home.is_dir() and away:  # broken off before
        return
    home = _home(config, request, where)
    if not is_btrfs:
        home_folder.put_away(home, where)
        return
    home_snapshots.remove_put_away(where)  # of a time before: the home has been elsewhere since
    home_snapshots.take(home, where, PUT_AWAY)
    home_snapshots.btrfs("subvolume", "delete", "--commit-after", str(home))


def _recover(config: HostConfig, request: ChangeRequest, where: Path) -> None:
    """From what was put away here, or from the snapshot that came here meanwhile."""
    _check_fence(config, request)
    fence, home = home_fence.read(config.homes_dir, request.home), config.homes_dir / request.home
    if not home_snapshots.is_btrfs(config.homes_dir):
        home_folder.bring_back(home, where)
        home_fence.write(config.homes_dir, request.home, Fence(request.generation))
        return
    if fence.generation != request.generation or fence.closed:
        home_open.open_held(config, request.home, request.generation, request.base, where)
    elif PUT_AWAY in home_snapshots.listed(where):
        _replace(home, where, PUT_AWAY)
    elif not home.is_dir():  # else it was broken off before
        raise HostRefused("home_missing", "what was put away is not on this host")
    home_snapshots.remove_put_away(where)


def _delete(config: HostConfig, request: ChangeRequest, where: Path) -> None:
    """Everything of the home on this host goes, its key and its snapshots too."""
    _check_fence(config, request)
    home = config.homes_dir / request.home
    if not home_snapshots.is_btrfs(config.homes_dir):
        home_folder.delete(home, where)
        hostkeys.forget(config, request.home)
        return
    for path in sorted(where.iterdir()):
        if path.is_dir() and home_snapshots.NAME.fullmatch(path.name):
            home_snapshots.remove(where, path.name)
    if home.is_dir():
        home_snapshots.btrfs("subvolume", "delete", "--commit-after", str(home))
    hostkeys.forget(config, request.home)
    counted = home_usage.group(config.homes_dir, request.home)
    (where / "group").unlink(missing_ok=True)
    if counted:
        with suppress(HostRefused):  # it goes when its last member is gone for good
            home_snapshots.btrfs("qgroup", "destroy", counted, str(config.homes_dir))


def _home(config: HostConfig, request: ChangeRequest, where: Path) -> Path:
    """The home, open for its generation here."""
    if not home_open.is_open(config, request.home, request.generation):
        if not request.generation:
            raise HostRefused("home_missing", "the home is not on this host")
        home_open.open_held(config, request.home, request.generation, request.base, where)
    return config.homes_dir / request.home


def _check_kept(config: HostConfig) -> None:
    if not home_snapshots.is_btrfs(config.homes_dir):
        raise HostRefused("bad_input", "this file system keeps no snapshots")


def _check_fence(config: HostConfig, request: ChangeRequest) -> None:
    known = home_fence.read(config.homes_dir, request.home).generation
    if known > request.generation:
        raise HostRefused("home_fenced", f"this host knows generation {known} of the home")


def _replace(home: Path, where: Path, name: str) -> None:
    """The home becomes a writable copy of a snapshot; what it was is known to be kept."""
    fresh = where / "opening"
    if fresh.is_dir():
        home_snapshots.btrfs("subvolume", "delete", str(fresh))
    counted = home_snapshots.counted_with(where)
    home_snapshots.btrfs("subvolume", "snapshot", *counted, str(where / name), str(fresh))
    if home.is_dir():
        home_snapshots.btrfs("subvolume", "delete", str(home))
    fresh.rename(home)
    home_snapshots.btrfs("filesystem", "sync", str(home))


def _last(where: Path) -> int:
    with suppress(FileNotFoundError):
        return int(json.loads((where / "orders.json").read_text())["token"])
    return 0


def _keep_last(where: Path, token: int) -> None:
    new = where / "orders.new"
    new.write_text(json.dumps({"token": token}))
    new.replace(where / "orders.json")


_ACTS: dict[str, Callable[[HostConfig, ChangeRequest, Path], None]] = {
    "snapshot": _snapshot,
    "drop": _drop,
    "restore": _restore,
    "prune": _prune,
    "recover": _recover,
    "delete": _delete,
}

"""Homes: one btrfs subvolume, or folder, per wallet, owned by the session user, kept when a session ends.

Root makes the folder; whatever happens inside it is done as the session user and without following links,
because every name in there was chosen by the person who works in it.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from controller.host import home_open, home_snapshots, home_usage
from controller.host.config import HostConfig
from controller.host.words import HostRefused

DESKTOP_SETTINGS = (
    (".config", "xfce4"),
    (".config", "Thunar"),
    (".config", "autostart"),
    (".config", "menus"),
    (".config", "gtk-3.0"),
    (".config", "gtk-4.0"),
    (".config", "dconf"),
    (".config", "mimeapps.list"),
    (".cache", "sessions"),
    ("", ".gtkrc-2.0"),
)
OLD_SETTINGS = "Old desktop settings"


def ensure(config: HostConfig, wallet: str, generation: int = 0, base: str = "") -> Path:
    """The wallet's home, made if there is none; open for its generation where homes move (`home_open`).

    Raises:
        HostRefused: volume_busy, when the homes are not mounted: a new empty home in the wrong place would
            look like lost files; or what `home_open` refuses with.
    """
    if not config.homes_dir.is_mount():
        raise HostRefused("volume_busy", f"{config.homes_dir} is not mounted")
    if not home_open.is_open(config, wallet, generation) and generation:
        home_open.open_(config, wallet, generation, base)
    home = config.homes_dir / wallet
    if not home.is_dir():
        _create(home)
    status = home.lstat()
    if status.st_uid != config.session_uid:
        os.chown(home, config.session_uid, config.session_uid, follow_symlinks=False)
        home.chmod(0o700)
    return home


def _create(home: Path) -> None:
    if home_snapshots.is_btrfs(home.parent):
        done = subprocess.run(
            ["btrfs", "subvolume", "create", home], capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode and not home.is_dir():
            raise HostRefused("volume_busy", f"btrfs: {done.stderr.strip()[:300]}")
        with suppress(HostRefused):  # without quotas it is not counted; the guard looks again
            home_usage.join(home.parent, home.name, home)
    else:
        home.mkdir(mode=0o700, exist_ok=True)


def set_settings_aside(home: Path, uid: int) -> None:
    """Move desktop settings into a dated folder of the same home, as its owner.

    Raises:
        HostRefused: volume_busy, when the home's owner could not do that.
    """
    top = os.open(home, os.O_DIRECTORY | os.O_NOFOLLOW)  # by root: the owner may not reach it by its path
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):  # the child ends here whatever happens
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            _move(top)
            code = 0
        os._exit(code)
    os.close(top)
    _, status = os.waitpid(child, 0)
    if status:
        raise HostRefused("volume_busy", "desktop settings could not be set aside")


def _move(top: int) -> None:
    aside: int | None = None
    for folder, name in DESKTOP_SETTINGS:
        source = _folder(top, folder)
        if source is None or not _there(source, name):
            continue
        aside = _dated_folder(top) if aside is None else aside
        os.rename(name, name.lstrip("."), src_dir_fd=source, dst_dir_fd=aside)


def _folder(top: int, name: str) -> int | None:
    """A folder of the home, unless it is a link that leads elsewhere."""
    if not name:
        return top
    try:
        return os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    except OSError:
        return None


def _there(folder: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def _dated_folder(top: int) -> int:
    with suppress(FileExistsError):
        os.mkdir(OLD_SETTINGS, 0o700, dir_fd=top)
    parent = os.open(OLD_SETTINGS, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    name = time.strftime("%Y-%m-%d %H.%M.%S", time.gmtime()) + f" {os.getpid()}"
    os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)

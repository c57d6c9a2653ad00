"""The socket folder of a slot: a 1 MiB tmpfs shared by a desktop, which may write in it, and the gateway.

Everything in it was written from inside a container: sizes are bounded by the mount, names are opened
without following links, contents are read with a limit.
"""

from __future__ import annotations

import grp
import json
import os
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.host.config import HostConfig
from controller.host.names import OPENED, READY, SOCKET
from controller.host.words import HostRefused

MAX_READY_BYTES = 4096


def make(config: HostConfig, folder: Path) -> None:
    """Mount the folder, empty: what a killed start left in it would pass for a painted desktop.

    Its set-group-id bit gives the socket inside the gateway's group.

    Raises:
        HostRefused: docker_error, when it cannot be mounted.
    """
    try:
        group = grp.getgrnam(config.gateway_group).gr_gid
    except KeyError as error:
        raise HostRefused("docker_error", f"there is no group {config.gateway_group}") from error
    config.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.parent.mkdir(mode=0o711, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    _unmount(folder)
    options = f"size=1m,nr_inodes=64,mode=2710,uid={config.session_uid},gid={group},nosuid,nodev,noexec"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "axonos", folder],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if done.returncode:
        raise HostRefused("docker_error", f"mount: {done.stderr.strip()[:300]}")


def remove(folder: Path) -> bool:
    """Unmount and remove the folder; false if it was not there."""
    if not folder.exists():
        return False
    _unmount(folder)
    with suppress(FileNotFoundError):
        folder.rmdir()
    return True


def _unmount(folder: Path) -> None:
    while folder.is_mount():
        done = subprocess.run(
            ["umount", "--lazy", folder], capture_output=True, text=True, timeout=20, check=False
        )
        if done.returncode:
            raise HostRefused("docker_error", f"umount: {done.stderr.strip()[:300]}")


def has_socket(config: HostConfig, folder: Path) -> bool:
    """Whether the desktop listens: a socket, not a link to one, of the session user."""
    try:
        status = (folder / SOCKET).lstat()
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_uid == config.session_uid


def was_opened(folder: Path) -> bool:
    """Whether somebody has logged in to a shell; its own word, which can only do that session good."""
    try:
        return stat.S_ISREG((folder / OPENED).lstat().st_mode)
    except OSError:
        return False


def read_ready(config: HostConfig, folder: Path, name: str = READY) -> dict[str, Any] | None:
    """What the desktop wrote when it was painted; None until that is whole and well-formed."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != config.session_uid:
            return None
        data = json.loads(os.read(descriptor, MAX_READY_BYTES))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    return data if isinstance(data, dict) else None

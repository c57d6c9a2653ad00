"""What a machine must be like before anything is installed on it. Looks, changes nothing."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
from pathlib import Path

from infra.faults import REFUSED, Fault
from infra.instance import Instance

SUPPORTED = {("debian", "12"), ("ubuntu", "24.04")}
GIB = 1024**3
NEEDED_GIB = 8  # environment, image and its copy in Docker, packages


def check_root() -> None:
    if os.geteuid() != 0:
        raise Fault(
            "This needs root: it installs packages and starts services.",
            "Run it as root, or install sudo and run `sudo make up`.",
            REFUSED,
        )


def check_system(*, force: bool) -> str:
    """The system's name and version; refuses one this was never tried on, unless forced."""
    release = platform.freedesktop_os_release()
    found = (release.get("ID", "?"), release.get("VERSION_ID", "?"))
    name = release.get("PRETTY_NAME", " ".join(found))
    if found not in SUPPORTED and not force:
        raise Fault(
            f"{name} is not supported; Debian 12 and Ubuntu 24.04 are.",
            "Use one of them, or add --force to try anyway.",
            REFUSED,
        )
    if platform.machine() != "x86_64" and not force:
        raise Fault(f"{platform.machine()} is not supported.", "Use an x86_64 machine, or --force.", REFUSED)
    return name


def check_disk(instance: Instance) -> str:
    """Free space where the state goes; room already taken by the homes and the environment counts."""
    folder = next(path for path in (instance.state, *instance.state.parents) if path.exists())
    homes = instance.state / "homes.btrfs"
    needed = 0 if homes.exists() or instance.homes_shared else instance.homes_gib
    needed += 1 if (instance.state / "images" / "desktop.json").exists() else NEEDED_GIB
    free = shutil.disk_usage(folder).free / GIB
    if free < needed:
        raise Fault(
            f"{folder} has {free:.1f} GiB free, {needed} GiB are needed.",
            "Free some space, choose a larger disk with --state, or smaller homes with --homes-gib.",
            REFUSED,
        )
    return f"{free:.0f} GiB free"


def check_ports(instance: Instance) -> None:
    """Every port is free, or held by this instance itself."""
    for service, port in instance.ports.items():
        if _is_free(port) or _is_ours(port, instance.name):
            continue
        raise Fault(
            f"Port {port} ({service}) is taken by {_holder(port)}.",
            f"Stop it, or choose another with --{service}-port.",
            REFUSED,
        )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _listeners(port: int) -> list[Path]:
    """Processes that listen on a TCP port, as /proc folders."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            columns = line.split()
            if int(columns[1].rsplit(":", 1)[1], 16) == port and columns[3] == "0A":
                inodes.add(f"socket:[{columns[9]}]")
    return [pid for pid in Path("/proc").glob("[0-9]*") if inodes & _sockets(pid)]


def _sockets(pid: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # the process ended meanwhile
        for descriptor in (pid / "fd").iterdir():
            with contextlib.suppress(OSError):  # as did the look at our own
                found.add(str(descriptor.readlink()))
    return found


def _is_ours(port: int, name: str) -> bool:
    mark = f"AXONOS_INSTANCE={name}".encode()
    return any(mark in (pid / "environ").read_bytes().split(b"\0") for pid in _listeners(port))


def _holder(port: int) -> str:
    listeners = _listeners(port)
    if not listeners:
        return "another program"
    return f"{(listeners[0] / 'comm').read_text().strip()} (process {listeners[0].name})"

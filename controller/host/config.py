"""What host programs read: the [host] and [gateway] sections of the platform's TOML file.

Not `controller.settings`: importing pydantic costs more than the whole rest of a session start, and a
GPU host's file has no other sections. All problems are listed at once.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

INSTANCE = re.compile(r"[a-z][a-z0-9-]{0,19}")
_HOST_TEXTS = ("name", "controller_url", "pages_origin")
_HOST_PATHS = ("homes_dir", "run_dir", "ticket_public_key", "guard_token")


class ConfigInvalid(Exception):
    """The host's configuration has problems; nothing was started."""


@dataclass(frozen=True)
class HostConfig:
    """One GPU host of one instance."""

    instance: str
    name: str
    controller_url: str
    pages_origin: str
    homes_dir: Path
    run_dir: Path
    ticket_public_key: Path
    guard_token: Path
    session_uid: int
    subnet_pool: IPv4Network
    gateway_group: str
    gateway_bind: str
    gateway_port: int
    nvidia_smi: str = "/usr/bin/nvidia-smi"
    ssh_bind: str = "127.0.0.1"


def default_path(instance: str) -> Path:
    """Where an instance's file lies: `AXONOS_CONFIG`, else its folder below /var/lib."""
    named = os.environ.get("AXONOS_CONFIG")
    folder = "axonos" if instance == "axonos" else f"axonos-{instance}"
    return Path(named) if named else Path("/var/lib") / folder / "axonos.toml"


def load(path: Path, *, trusted: bool = False) -> HostConfig:
    """Read and check the file.

    Args:
        path: the TOML file.
        trusted: refuse a file that anybody but root could have written; a program that runs as root
            at the request of another user has to ask for this.

    Raises:
        ConfigInvalid: with every problem found.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if trusted and (status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
                raise ConfigInvalid(f"{path}: must belong to root and be writable by root only")
            tables = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalid(f"{path}: {error}") from error
    return _checked(path, tables)


def _checked(path: Path, tables: dict[str, Any]) -> HostConfig:
    host, gateway = tables.get("host", {}), tables.get("gateway", {})
    instance = tables.get("instance", "")
    problems = [f"host.{k}: a text" for k in _HOST_TEXTS + _HOST_PATHS if not _text(host.get(k))]
    problems += [f"host.{k}: an absolute path" for k in _HOST_PATHS if not str(host.get(k)).startswith("/")]
    if not isinstance(instance, str) or not INSTANCE.fullmatch(instance):
        problems.append("instance: a lower-case word")
    uid = host.get("session_uid", 7000)
    if type(uid) is not int or uid < 1000:
        problems.append("host.session_uid: a number from 1000, never a system user")
    port = gateway.get("port", 8081)
    if type(port) is not int or not 0 < port < 65536:
        problems.append("gateway.port: 1 to 65535")
    pool = _pool(host.get("subnet_pool", "10.213.0.0/16"))
    if pool is None:
        problems.append("host.subnet_pool: an IPv4 network of /28 or larger")
    bind = str(gateway.get("bind", "127.0.0.1"))
    ssh_bind = host.get("ssh_bind", "127.0.0.1" if bind == "localhost" else bind)
    if not _address(ssh_bind):
        problems.append("host.ssh_bind: the IPv4 address on which shells answer")
    if problems or pool is None:
        raise ConfigInvalid(f"{path}: " + "; ".join(problems))
    return HostConfig(
        instance=instance,
        name=host["name"],
        controller_url=host["controller_url"],
        pages_origin=host["pages_origin"],
        homes_dir=Path(host["homes_dir"]),
        run_dir=Path(host["run_dir"]),
        ticket_public_key=Path(host["ticket_public_key"]),
        guard_token=Path(host["guard_token"]),
        session_uid=uid,
        subnet_pool=pool,
        gateway_group=str(host.get("gateway_group", "axonos-gateway")),
        gateway_bind=bind,
        gateway_port=port,
        nvidia_smi=str(host.get("nvidia_smi", "/usr/bin/nvidia-smi")),
        ssh_bind=ssh_bind,
    )


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _address(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(IPv4Address(value))
    except ValueError:
        return False


def _pool(value: object) -> IPv4Network | None:
    try:
        pool = IPv4Network(value)
    except ValueError:
        return None
    return pool if pool.prefixlen <= 28 else None

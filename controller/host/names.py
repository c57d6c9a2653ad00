"""Names, addresses and paths of a slot: equal inputs give equal names, nothing is remembered."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from controller.host.config import HostConfig

SLOT = re.compile(r"s-[0-9a-f]{12}")
LABEL_INSTANCE = "org.axonos.instance"
LABEL_SLOT = "org.axonos.slot"
LABEL_CONFIG = "org.axonos.config"
LABEL_LIMITS = "org.axonos.limits"
SOCKET = "rfb.sock"
READY = "ready"
WARM = "warm"
OPENED = "opened"
SHELL_PORT = 2222
FILES_SOCKET = "files.sock"  # beside the slots, of root


def bridge_prefix(instance: str) -> str:
    """What the bridges of one instance begin with: nftables matches them by prefix, names hold 15 bytes."""
    return f"axb{hashlib.sha256(instance.encode()).hexdigest()[:6]}-"


def table_name(instance: str) -> str:
    """The instance's nftables table, family inet."""
    return "axonos_" + instance.replace("-", "_")


def subnet(pool: IPv4Network, index: int) -> IPv4Network:
    """The index-th /28 of the pool.

    Raises:
        ValueError: the pool is not that large.
    """
    network = IPv4Network((int(pool.network_address) + (index << 4), 28))
    if index < 0 or not network.subnet_of(pool):
        raise ValueError(f"subnet {index} is outside {pool}")
    return network


@dataclass(frozen=True)
class Slot:
    """Everything that is named after one slot."""

    config: HostConfig
    id: str

    @property
    def container(self) -> str:
        return f"axonos-{self.config.instance}-{self.id}"

    @property
    def network(self) -> str:
        return self.container

    @property
    def folder(self) -> Path:
        return self.config.run_dir / "slots" / self.id

    @property
    def place(self) -> Path:
        """What a waiting desktop has as /home."""
        return self.config.run_dir / "homes" / self.id

    def bridge(self, index: int) -> str:
        """The bridge's interface name."""
        return f"{bridge_prefix(self.config.instance)}{index}"

    def subnet(self, index: int) -> IPv4Network:
        """The slot's addresses."""
        return subnet(self.config.subnet_pool, index)

    def gateway(self, index: int) -> IPv4Address:
        """The host's own address on the bridge."""
        return self.subnet(index)[1]

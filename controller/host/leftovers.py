"""What a crash can leave on a host without container or lease: networks, bridges, socket folders, mounts.

A start writes its lease first and a stop removes it last, so whatever bears a slot's name and has no lease,
while nobody holds the slot's lock, belongs to nobody.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.names import LABEL_INSTANCE, LABEL_SLOT, SLOT, bridge_prefix
from controller.host.words import HostRefused

LINKS = Path("/sys/class/net")
BRIDGE_OPTION = "com.docker.network.bridge.name"


def find(config: HostConfig, engine: Engine) -> tuple[set[str], set[str]]:
    """Look at networks, links and socket folders.

    Returns:
        Slots that have a network or a socket folder; our bridges that belong to no network of the engine.

    Raises:
        HostRefused: the engine could not be asked.
    """
    prefix = bridge_prefix(config.instance)
    links = {path.name for path in LINKS.glob(f"{prefix}*")}  # before the networks: none is half made then
    try:
        networks = engine.call("GET", "/networks", filters={"label": [f"{LABEL_INSTANCE}={config.instance}"]})
    except EngineRefused as error:
        raise HostRefused("docker_error", error.message) from error
    slots = {str(one["Labels"].get(LABEL_SLOT, "")) for one in networks} | folders(config)
    known = {(one.get("Options") or {}).get(BRIDGE_OPTION) for one in networks}
    return {slot for slot in slots if SLOT.fullmatch(slot)}, links - known


def folders(config: HostConfig) -> set[str]:
    """Slots with a socket folder or a place for a home, mounted or not."""
    found = (path.name for kind in ("slots", "homes") for path in (config.run_dir / kind).glob("s-*"))
    return {name for name in found if SLOT.fullmatch(name)}


def remove_link(name: str) -> None:
    """Remove a bridge that no network owns; one that is gone already is fine."""
    subprocess.run(
        ["ip", "link", "delete", name, "type", "bridge"], capture_output=True, timeout=20, check=False
    )

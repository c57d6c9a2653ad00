"""Whether firewall table and desktops' limits are as they should be, and putting them back.

For whoever converges the host; the guard looks at the table too, every ten seconds, and names nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.host import firewall, limits
from controller.host.config import HostConfig
from controller.host.request import COMMON, checked, is_flag


@dataclass(frozen=True)
class WallsRequest:
    """Of which instance, and whether to put the table back."""

    instance: str
    repair: bool


def parse(data: Any) -> WallsRequest:
    """Check it. Raises HostRefused bad_input."""
    return WallsRequest(**checked(data, {"instance": COMMON["instance"], "repair": is_flag}))


def settle(config: HostConfig, request: WallsRequest) -> dict[str, Any]:
    """Look, and put back what differs if asked to.

    Raises:
        HostRefused: docker_error, when nftables does not work, or the engine takes no limit.
    """
    what, desktops = _table(request), limits.settle(config, repair=request.repair)
    return {"ok": True, "changed": bool(what or desktops), "what": what, "desktops": desktops}


def _table(request: WallsRequest) -> str:
    """How the table differs; empty where it does not."""
    now = firewall.listing(request.instance)
    if now is not None and now == firewall.wanted(request.instance):
        return ""
    if request.repair:
        firewall.load(request.instance)
    return "missing" if now is None else "rules differ"

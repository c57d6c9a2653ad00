"""Whether the firewall table is as it should be, and putting it back: for whoever converges the host.

The guard looks too, every ten seconds; this names the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.host import firewall
from controller.host.request import COMMON, checked, is_flag


@dataclass(frozen=True)
class WallsRequest:
    """Of which instance, and whether to put the table back."""

    instance: str
    repair: bool


def parse(data: Any) -> WallsRequest:
    """Check it. Raises HostRefused bad_input."""
    return WallsRequest(**checked(data, {"instance": COMMON["instance"], "repair": is_flag}))


def settle(request: WallsRequest) -> dict[str, Any]:
    """Look, and put the table back if asked to.

    Raises:
        HostRefused: docker_error, when nftables does not work.
    """
    now = firewall.listing(request.instance)
    if now is not None and now == firewall.wanted(request.instance):
        return {"ok": True, "changed": False, "what": ""}
    if request.repair:
        firewall.load(request.instance)
    return {"ok": True, "changed": True, "what": "missing" if now is None else "rules differ"}

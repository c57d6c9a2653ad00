"""Under which name people reach a host."""

from __future__ import annotations

from urllib.parse import urlsplit

from controller.models import Host


def name_of(host: Host) -> str:
    """The name of its gateway; shells answer there too."""
    return urlsplit(host.gateway_url).hostname or host.address

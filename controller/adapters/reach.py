"""Whether something listens at an address. Nothing is sent."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def listens(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """True if a TCP connection can be made."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def url_listens(url: str) -> bool:
    """True if the server of an http or ws URL takes connections."""
    parts = urlsplit(url)
    return listens(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))

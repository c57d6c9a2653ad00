"""Whether this machine's Docker engine answers; asked before anything is planned that needs it."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

LIMIT_S = 5.0
DEFAULT = "unix:///var/run/docker.sock"


def docker_answers() -> bool:
    """True when the engine named by `DOCKER_HOST`, else the usual socket, answers a ping in some seconds."""
    address = urlsplit(os.environ.get("DOCKER_HOST") or DEFAULT)
    try:
        with _connected(address.scheme, address.path, address.hostname, address.port) as connection:
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def _connected(scheme: str, path: str, host: str | None, port: int | None) -> socket.socket:
    if scheme != "unix":
        return socket.create_connection((host or "localhost", port or 2375), timeout=LIMIT_S)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(LIMIT_S)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection

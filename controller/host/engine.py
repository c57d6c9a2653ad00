"""The Docker engine's HTTP API over its unix socket, on the standard library alone.

Not the Docker SDK: importing that costs 180 ms, this 20, and a session start is one process.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Self
from urllib.parse import urlencode

from controller.host.words import HostRefused

SOCKET_PATH = "/var/run/docker.sock"
VERSION = "v1.41"


class EngineRefused(Exception):
    """The engine answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        """Args: the HTTP status; the engine's own sentence."""
        self.status = status
        self.message = message
        super().__init__(f"{status}: {message}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """One kept connection to one engine; not to be shared between threads."""

    def __init__(self, path: str = SOCKET_PATH, *, timeout_s: float | None = 60) -> None:
        """Args: the engine's socket; how long one call may take, None for as long as it lasts."""
        self._path = path
        self._timeout_s = timeout_s
        self._connection: _UnixConnection | None = None
        self.api_version = (0, 0)  # the engine's own, known after the first answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One request.

        Returns:
            The decoded JSON answer, None if there is none.

        Raises:
            EngineRefused: the engine said no.
            HostRefused: host_unreachable or timeout, when it said nothing.
        """
        answer = self.open(method, path, body, **query)
        data = answer.read()
        return json.loads(data) if data.strip() and "json" in (answer.headers.get_content_type()) else None

    def open(self, method: str, path: str, body: Any = None, **query: Any) -> http.client.HTTPResponse:
        """The same, leaving the answer's body to be read as it comes (events, logs)."""
        target = f"/{VERSION}{path}" + (f"?{urlencode(_encoded(query))}" if query else "")
        payload = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = self._send(method, target, payload, headers)
            major, _, minor = answer.headers.get("Api-Version", "0.0").partition(".")
            self.api_version = (int(major), int(minor))
            if answer.status >= 400:
                raise EngineRefused(answer.status, _message(answer.read()))
        except TimeoutError as error:
            self.close()
            raise HostRefused("timeout", f"the Docker engine did not answer {method} {path}") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise HostRefused("host_unreachable", f"the Docker engine cannot be reached: {error}") from error
        return answer

    def _send(
        self, method: str, target: str, payload: str | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = _UnixConnection(self._path, self._timeout_s)
        self._connection.request(method, target, body=payload, headers=headers)
        return self._connection.getresponse()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _encoded(query: dict[str, Any]) -> dict[str, str]:
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()}


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace")[:500]

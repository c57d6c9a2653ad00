"""The opening handshake of a WebSocket (RFC 6455, section 4). Pure: request bytes in, a verdict out."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from controller.domain.ticket import PREFIX

MAX_REQUEST = 16_384
MAX_HEADERS = 64
END = b"\r\n\r\n"
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
STREAM_PATH = "/stream"
HEALTH_PATH = "/healthz"
SUBPROTOCOL = "binary"


class RequestRefused(Exception):
    """The request gets an HTTP answer instead of a stream."""

    def __init__(self, status: str, headers: str = "") -> None:
        """Args: status line's code and text; further header lines."""
        self.status = status
        self.headers = headers
        super().__init__(status)


@dataclass(frozen=True)
class Request:
    """What the gateway reads of a request. Cookies are never looked at."""

    path: str
    headers: dict[str, str]

    @property
    def origin(self) -> str:
        return self.headers.get("origin", "")

    @property
    def offered(self) -> list[str]:
        return [word.strip() for word in self.headers.get("sec-websocket-protocol", "").split(",")]

    @property
    def ticket(self) -> str:
        """The ticket among the offered subprotocols, without its prefix; empty if there is none."""
        return next((word[len(PREFIX) :] for word in self.offered if word.startswith(PREFIX)), "")


def parse(data: bytes) -> Request:
    """Read a whole request head.

    Raises:
        RequestRefused: it is not one.
    """
    try:
        first, *lines = data.decode("ascii").split("\r\n")
        method, path, version = first.split(" ")
    except ValueError as error:
        raise RequestRefused("400 Bad Request") from error
    if method != "GET" or version != "HTTP/1.1":
        raise RequestRefused("405 Method Not Allowed", "Allow: GET\r\n")
    if len(lines) > MAX_HEADERS:
        raise RequestRefused("431 Request Header Fields Too Large")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise RequestRefused("400 Bad Request")
        key = name.lower()
        headers[key] = f"{headers[key]},{value.strip()}" if key in headers else value.strip()
    return Request(path, headers)


def accept_key(request: Request, origin: str) -> str:
    """Check that this is a stream from the site's own pages.

    Args:
        request: as parsed.
        origin: of the pages; a browser tells it truthfully, a foreign page cannot change it.

    Returns:
        The value of `Sec-WebSocket-Accept`.

    Raises:
        RequestRefused: with the HTTP answer.
    """
    if request.path != STREAM_PATH:
        raise RequestRefused("404 Not Found")
    if request.origin != origin:
        raise RequestRefused("403 Forbidden")
    connection = [word.strip().lower() for word in request.headers.get("connection", "").split(",")]
    if request.headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in connection:
        raise RequestRefused("426 Upgrade Required", "Upgrade: websocket\r\n")
    if request.headers.get("sec-websocket-version") != "13":
        raise RequestRefused("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n")
    key = request.headers.get("sec-websocket-key", "")
    if not _is_nonce(key) or SUBPROTOCOL not in request.offered:
        raise RequestRefused("400 Bad Request")
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()).decode()


def _is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def switching(key: str) -> bytes:
    """The answer that opens the stream."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()


def answer(status: str, body: bytes = b"", headers: str = "") -> bytes:
    """A plain HTTP answer that ends the connection."""
    return (
        f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    ).encode() + body

"""The few X11 requests that the session and its checks need, spoken over the display's own socket.

Python's standard library has no X client, and a library would cost start-up time. Bytes are little endian.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_INTERN_ATOM, _GET_PROPERTY, _GET_IMAGE = 16, 20, 73
_Z_PIXMAP = 2
_ALL_PLANES = 0xFFFFFFFF


class XError(Exception):
    """The X server refused a request."""


@dataclass(frozen=True)
class Screen:
    """The root window and its size in pixels."""

    root: int
    width: int
    height: int


class Display:
    """A connection to one X server, one request at a time."""

    def __init__(self, path: str = "/tmp/.X11-unix/X0") -> None:  # noqa: S108
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
        status, length = struct.unpack("<BxHHH", self._read(8))[0::3]
        setup = self._read(length * 4)
        if status != 1:
            raise XError(setup.decode(errors="replace"))
        vendor, formats = struct.unpack_from("<H", setup, 16)[0], setup[21]
        at = 32 + (vendor + 3 & ~3) + formats * 8
        root, width, height = struct.unpack_from("<I16xHH", setup, at)
        self.screen = Screen(root, width, height)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def pixels(self, x: int, y: int, width: int, height: int) -> bytes:
        """What the screen shows in a rectangle: four bytes (blue, green, red, unused) a pixel, by rows."""
        body = struct.pack("<IhhHHI", self.screen.root, x, y, width, height, _ALL_PLANES)
        return self._ask(_GET_IMAGE, _Z_PIXMAP, body)[24:-1]

    def atom(self, name: str) -> int:
        """The number of a name."""
        data = name.encode()
        answer = self._ask(_INTERN_ATOM, 0, struct.pack("<Hxx", len(data)) + data + bytes(-len(data) % 4))
        return int(struct.unpack_from("<I", answer, 0)[0])

    def property(self, window: int, name: str) -> bytes:
        """A property's raw value; empty when the window has none."""
        body = struct.pack("<IIIII", window, self.atom(name), 0, 0, 65536)
        answer = self._ask(_GET_PROPERTY, 0, body)
        size, count = answer[-1], struct.unpack_from("<I", answer, 8)[0]
        return answer[24 : 24 + count * (size // 8)]

    def windows(self) -> list[int]:
        """The windows that the window manager manages."""
        data = self.property(self.screen.root, "_NET_CLIENT_LIST")
        return list(struct.unpack(f"<{len(data) // 4}I", data))

    def title(self, window: int) -> str:
        """A window's title."""
        name = self.property(window, "_NET_WM_NAME") or self.property(window, "WM_NAME")
        return name.decode(errors="replace")

    def _ask(self, opcode: int, data: int, body: bytes) -> bytes:
        """Send a request; returns the answer from byte 8 on, with the answer's second byte appended."""
        self._socket.sendall(struct.pack("<BBH", opcode, data, 1 + len(body) // 4) + body)
        while True:
            head = self._read(32)
            if head[0] == 0:
                raise XError(f"X error {head[1]} for request {opcode}")
            if head[0] == 1:
                more = struct.unpack_from("<I", head, 4)[0] * 4
                return head[8:] + self._read(more) + head[1:2]

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("the X server closed the connection")
            parts += part
        return bytes(parts)

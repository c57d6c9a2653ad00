"""Messages on a byte stream, both ways: four bytes of length, a kind, and JSON or a piece of a file."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

HEAD = struct.Struct("!IB")
WORDS, DATA = 0x4A, 0x44
MAX_WORDS, MAX_DATA = 1 << 16, 1 << 20
PIECE = 1 << 16
MAX_LINE = 1_100


class Gone(Exception):
    """The other side has left, is silent for too long, or does not speak this language."""


class Channel:
    """One connection."""

    def __init__(self, link: socket.socket) -> None:
        """Args: connected, with a timeout."""
        self._link = link

    def line(self) -> str:
        """The first line, which is no message: the ticket."""
        found = bytearray()
        while not found.endswith(b"\n"):
            found += self._exactly(1)
            if len(found) > MAX_LINE:
                raise Gone
        return found[:-1].decode("ascii", "replace")

    def hear(self) -> dict[str, Any]:
        """The next request."""
        kind, content = self._message(MAX_WORDS)
        try:
            said = json.loads(content)
        except ValueError as error:
            raise Gone from error
        if kind != WORDS or not isinstance(said, dict):
            raise Gone
        return said

    def piece(self) -> bytes:
        """The next piece of a file."""
        kind, content = self._message(MAX_DATA)
        if kind != DATA or not content:
            raise Gone
        return content

    def say(self, **words: Any) -> None:
        """Answer."""
        self._send(WORDS, json.dumps(words).encode())

    def give(self, data: bytes | memoryview) -> None:
        """Send a piece of a file."""
        self._send(DATA, data)

    def _message(self, most: int) -> tuple[int, bytes]:
        size, kind = HEAD.unpack(self._exactly(HEAD.size))
        if size > most:
            raise Gone
        return kind, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            try:
                data = self._link.recv(min(size - len(found), PIECE))
            except OSError as error:
                raise Gone from error
            if not data:
                raise Gone
            found += data
        return bytes(found)

    def _send(self, kind: int, content: bytes | memoryview) -> None:
        try:
            self._link.sendall(HEAD.pack(len(content), kind))
            self._link.sendall(content)
        except OSError as error:
            raise Gone from error

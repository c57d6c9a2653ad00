"""A gateway with a desktop behind it, as small as it gets: one green screen that writes down keys (RFC 6143).

Like the real one, a stream takes the desktop over from the one before, unless its ticket is for looking only.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

WIDTH, HEIGHT = 320, 200
GREEN = struct.pack("<I", 0x0000FF00) * (WIDTH * HEIGHT)
FORMAT = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
TAKEN_OVER = 4410
FIXED = {0: 20, 3: 10, 4: 8, 5: 6, 150: 10}


@dataclass
class TinyGateway:
    """Takes `binary` with any ticket once; remembers tickets, origins and keys pressed."""

    port: int = 0
    tickets: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    open: list[ServerConnection] = field(default_factory=list)
    views: list[ServerConnection] = field(default_factory=list)
    server: Server | None = None
    home: Path | None = None  # what its tickets open, in place of a desktop

    def __enter__(self) -> Self:
        self.server = serve(self._serve, "127.0.0.1", 0, select_subprotocol=self._choose, compression=None)
        self.port = self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.server is not None
        self.cut()
        self.server.shutdown()

    def cut(self) -> None:
        """The network breaks."""
        for connection in [*self.open, *self.views]:
            connection.close()
        self.open.clear()
        self.views.clear()

    def _choose(self, connection: ServerConnection, offered: Any) -> Any:
        assert connection.request is not None
        self.origins.append(connection.request.headers["Origin"])
        self.tickets += [name for name in offered if name.startswith("ticket.")]
        return next(name for name in offered if name == "binary")

    def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        offered = connection.request.headers["Sec-WebSocket-Protocol"]
        ticket = next(name for name in offered.split(", ") if name.startswith("ticket."))
        payload = ticket.removeprefix("ticket.").partition(".")[0]
        if json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["view_only"]:
            self.views.append(connection)
        else:
            for before in self.open:
                before.close(TAKEN_OVER)
            self.open[:] = [connection]
        try:
            if self.home is not None:
                _files(connection, self.home)
                return
            self._desktop(connection, _Stream(connection))
        except (ConnectionClosed, EOFError):
            return

    def _desktop(self, connection: ServerConnection, stream: _Stream) -> None:
        connection.send(b"RFB 003.008\n")
        stream.read(12)
        connection.send(b"\x01\x01")
        stream.read(1)
        connection.send(b"\x00\x00\x00\x00")
        stream.read(1)
        name = b"tiny desktop"
        connection.send(struct.pack(">HH", WIDTH, HEIGHT) + FORMAT + struct.pack(">I", len(name)) + name)
        while True:
            self._message(connection, stream, stream.read(1)[0])

    def _message(self, connection: ServerConnection, stream: _Stream, kind: int) -> None:
        if kind == 2:
            stream.read(4 * struct.unpack(">xH", stream.read(3))[0])
        elif kind == 6:
            stream.read(abs(struct.unpack(">3xi", stream.read(7))[0]))
        else:
            rest = stream.read(FIXED[kind] - 1)
            if kind == 4 and rest[0]:
                self.keys.append(struct.unpack(">I", rest[3:])[0])
            if kind == 3 and not rest[0]:
                connection.send(struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0) + GREEN)


FILES = """
import os, socket, sys
from controller.files.channel import Channel
from controller.files.confine import confine
from controller.files.serve import serve
channel = Channel(socket.socket(fileno=0))
confine(os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY), 7000)
channel.say(ok=True)
serve(channel)
"""


def _files(connection: ServerConnection, home: Path) -> None:
    """The real server of files, confined as it is on a host, behind this gateway."""
    mine, its = socket.socketpair()
    with mine, subprocess.Popen([sys.executable, "-c", FILES, str(home)], stdin=its.fileno()) as process:
        its.close()

        def up() -> None:
            with suppress(ConnectionClosed, OSError):
                for message in connection:
                    mine.sendall(message if isinstance(message, bytes) else message.encode())
            with suppress(OSError):
                mine.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=up, daemon=True).start()
        with suppress(ConnectionClosed, OSError):
            while data := mine.recv(65_536):
                connection.send(data)
        connection.close()
        process.terminate()


class _Stream:
    """Bytes of a WebSocket, whatever its frames."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection, self.buffer = connection, b""

    def read(self, count: int) -> bytes:
        while len(self.buffer) < count:
            message = self.connection.recv()
            assert isinstance(message, bytes)
            self.buffer += message
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

"""A small RFB 3.8 client (RFC 6143): what the self-check, the benchmarks and image verification look through.

It speaks raw and copy-rectangle over a gateway's WebSocket or a desktop's unix socket, keeps the framebuffer,
and can type. It is no viewer: nothing is scaled, nothing is drawn on a screen.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image
from websockets.asyncio.client import connect

from controller.errors import AxonosError

PANEL_HEIGHT = 28
PANEL_COLOURS = 12
WALLPAPER_COLOURS = 20
_RAW, _COPY, _DESKTOP_SIZE = 0, 1, -223
_PIXELS = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


class StreamBroken(AxonosError):
    """The desktop's stream broke off or speaks something else than RFB."""

    code = "stream_broken"


@dataclass
class Desktop:
    """One connected desktop. Use as `async with await open_stream(…) as desktop`."""

    read: Callable[[int], Awaitable[bytes]]
    write: Callable[[bytes], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    width: int = 0
    height: int = 0
    frame: bytearray = field(default_factory=bytearray)

    async def __aenter__(self) -> Self:
        """Shake hands; the size is known afterwards."""
        if not (await self.read(12)).startswith(b"RFB 003."):
            raise StreamBroken
        await self.write(b"RFB 003.008\n")
        kinds = await self.read((await self.read(1))[0])
        if 1 not in kinds:
            raise StreamBroken("The desktop asks for a password; it must not.")
        await self.write(b"\x01")
        if await self.read(4) != bytes(4):
            raise StreamBroken("The desktop refused the connection.")
        await self.write(b"\x01")
        width, height, _, name = struct.unpack(">HH16sI", await self.read(24))
        await self.read(name)
        self._resize(width, height)
        await self.write(struct.pack(">Bxxx", 0) + _PIXELS)
        await self.write(struct.pack(">BxHiii", 2, 3, _COPY, _RAW, _DESKTOP_SIZE))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def update(self, *, incremental: bool = True) -> None:
        """Ask for an update and take in everything up to it. Waits while nothing changes."""
        await self.write(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))
        while True:
            kind = (await self.read(1))[0]
            if kind == 0:
                _, count = struct.unpack(">BH", await self.read(3))
                for _ in range(count):
                    await self._rectangle()
                return
            if kind == 3:
                _, length = struct.unpack(">3sI", await self.read(7))
                await self.read(length)
            elif kind != 2:
                raise StreamBroken

    async def key(self, keysym: int) -> None:
        """Press and release a key, by X keysym."""
        await self.write(struct.pack(">BBxxI", 4, 1, keysym) + struct.pack(">BBxxI", 4, 0, keysym))

    async def type(self, text: str) -> None:
        """Type Latin-1 text; a newline is Return."""
        for letter in text:
            await self.key(0xFF0D if letter == "\n" else ord(letter))

    async def point(self, x: int, y: int, buttons: int = 0) -> None:
        """Move the pointer, with the buttons of the mask held."""
        await self.write(struct.pack(">BBHH", 5, buttons, x, y))

    def image(self) -> Image.Image:
        """The framebuffer as it is now."""
        return Image.frombytes("RGB", (self.width, self.height), bytes(self.frame), "raw", "BGRX")

    async def _rectangle(self) -> None:
        x, y, width, height, encoding = struct.unpack(">HHHHi", await self.read(12))
        if encoding == _DESKTOP_SIZE:
            self._resize(width, height)
        elif encoding == _COPY:
            from_x, from_y = struct.unpack(">HH", await self.read(4))
            rows = [self._row(from_x, from_y + i, width) for i in range(height)]
            self._paint(x, y, width, b"".join(rows))
        elif encoding == _RAW:
            self._paint(x, y, width, await self.read(width * height * 4))
        else:
            raise StreamBroken

    def _row(self, x: int, y: int, width: int) -> bytes:
        start = (y * self.width + x) * 4
        return bytes(self.frame[start : start + width * 4])

    def _paint(self, x: int, y: int, width: int, pixels: bytes) -> None:
        stride = width * 4
        if not stride:
            return
        for i in range(len(pixels) // stride):
            start = ((y + i) * self.width + x) * 4
            self.frame[start : start + stride] = pixels[i * stride : (i + 1) * stride]

    def _resize(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.frame = bytearray(width * height * 4)


async def open_stream(url: str, ticket: str, origin: str) -> Desktop:
    """Connect through a gateway.

    Args:
        url: as the API gives it, such as ws://localhost:8081/stream.
        ticket: single use, from the API.
        origin: the pages' origin.
    """
    protocols = ["binary", f"ticket.{ticket}"]
    socket = await connect(
        url,
        subprotocols=protocols,  # type: ignore[arg-type]  # plain strings, as on the wire
        origin=origin,  # type: ignore[arg-type]
        max_size=None,
        compression=None,
    )
    buffer = bytearray()

    async def read(count: int) -> bytes:
        while len(buffer) < count:
            message = await socket.recv()
            buffer.extend(message if isinstance(message, bytes) else message.encode())
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    async def write(data: bytes) -> None:
        await socket.send(data)

    return Desktop(read, write, socket.close)


async def open_socket(path: Path) -> Desktop:
    """Connect to a desktop's own unix socket."""
    reader, writer = await asyncio.open_unix_connection(path)

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def close() -> None:
        writer.close()
        await writer.wait_closed()

    return Desktop(reader.readexactly, write, close)


def painted(screen: Image.Image) -> bool:
    """Whether a desktop is really there: both ends of the panel are drawn and the wallpaper is shown."""
    width, height = screen.size
    third = width // 3
    left = screen.crop((0, 0, third, PANEL_HEIGHT))
    right = screen.crop((width - third, 0, width, PANEL_HEIGHT))
    wallpaper = screen.crop((width // 8, height // 2, width - width // 8, height))
    return (
        _is_drawn(left, PANEL_COLOURS)
        and _is_drawn(right, PANEL_COLOURS)
        and _is_drawn(wallpaper, WALLPAPER_COLOURS)
    )


def _is_drawn(part: Image.Image, colours: int) -> bool:
    """Whether there are more than `colours` in it; Pillow stops counting there."""
    return part.getcolors(colours) is None


async def wait_painted(desktop: Desktop) -> None:
    """Take updates until the desktop is painted."""
    await desktop.update(incremental=False)
    while not painted(desktop.image()):
        await desktop.update()

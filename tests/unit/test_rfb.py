"""The RFB client against a server made of bytes: handshake, updates, input, and what "painted" means."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from controller.rfb import Desktop, StreamBroken, painted, wait_painted

HELLO = b"RFB 003.008\n" + b"\x01\x01" + bytes(4)


def server_init(width: int, height: int) -> bytes:
    return struct.pack(">HH16sI", width, height, bytes(16), 4) + b"axon"


def raw(x: int, y: int, width: int, height: int, pixels: bytes) -> bytes:
    return struct.pack(">HHHHi", x, y, width, height, 0) + pixels


def update(*rectangles: bytes) -> bytes:
    return struct.pack(">BxH", 0, len(rectangles)) + b"".join(rectangles)


def bgrx(*colours: tuple[int, int, int]) -> bytes:
    return b"".join(bytes((blue, green, red, 0)) for red, green, blue in colours)


class Wire:
    """What the server says, byte for byte, and what it hears."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self.heard = b""
        self.closed = False

    async def read(self, count: int) -> bytes:
        if len(self._said) < count:
            raise asyncio.IncompleteReadError(self._said, count)
        taken, self._said = self._said[:count], self._said[count:]
        return taken

    async def write(self, data: bytes) -> None:
        self.heard += data

    async def close(self) -> None:
        self.closed = True

    def desktop(self) -> Desktop:
        return Desktop(self.read, self.write, self.close)


def with_desktop(said: bytes, act) -> Wire:
    wire = Wire(said)

    async def run() -> None:
        async with wire.desktop() as desktop:
            await act(desktop)

    asyncio.run(run())
    return wire


def test_it_shakes_hands_without_a_password_and_asks_for_plain_pixels():
    async def look(desktop: Desktop) -> None:
        assert (desktop.width, desktop.height) == (3, 2)

    wire = with_desktop(HELLO + server_init(3, 2), look)
    version, choice, shared = wire.heard[:12], wire.heard[12:13], wire.heard[13:14]
    assert (version, choice, shared) == (b"RFB 003.008\n", b"\x01", b"\x01")
    pixel_format, encodings = wire.heard[14:34], wire.heard[34:]
    assert pixel_format[4:8] == bytes([32, 24, 0, 1])
    assert set(struct.unpack(">iii", encodings[4:])) == {0, 1, -223}
    assert wire.closed


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400",
        b"RFB 003.008\n\x01\x02",  # only VNC passwords
        b"RFB 003.008\n\x01\x01\x00\x00\x00\x01",  # refused
        HELLO + server_init(1, 1) + b"\x09",  # no message of the protocol
        HELLO + server_init(1, 1) + update(struct.pack(">HHHHi", 0, 0, 1, 1, 7)),  # tight, never asked for
    ],
)
def test_a_server_that_speaks_something_else_is_refused(said: bytes):
    with pytest.raises(StreamBroken):
        with_desktop(said, lambda desktop: desktop.update())


def test_a_stream_that_breaks_off_does_not_hang():
    with pytest.raises(asyncio.IncompleteReadError):
        with_desktop(HELLO + server_init(2, 2) + update(raw(0, 0, 2, 2, b"half")), Desktop.update)


def test_updates_paint_copy_and_resize_the_frame():
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    messages = (
        b"\x02"  # a bell
        + struct.pack(">B3xI", 3, 5)
        + b"hello"  # text of the clipboard
        + update(raw(0, 0, 2, 1, bgrx(red, green)), raw(2, 1, 1, 1, bgrx(blue)))
        + update(struct.pack(">HHHHiHH", 1, 1, 2, 1, 1, 0, 0))
        + update(struct.pack(">HHHHi", 0, 0, 1, 1, -223))
    )

    async def look(desktop: Desktop) -> None:
        await desktop.update(incremental=False)
        assert desktop.image().getpixel((0, 0)) == red
        assert desktop.image().getpixel((2, 1)) == blue
        await desktop.update()
        assert [desktop.image().getpixel((x, 1)) for x in (1, 2)] == [red, green]
        await desktop.update()
        assert desktop.image().size == (1, 1)

    wire = with_desktop(HELLO + server_init(3, 2) + messages, look)
    assert wire.heard.endswith(struct.pack(">BBHHHH", 3, 1, 0, 0, 3, 2))


@given(
    x=st.integers(0, 7),
    y=st.integers(0, 7),
    width=st.integers(0, 8),
    height=st.integers(0, 8),
    shade=st.integers(1, 255),
)
def test_a_rectangle_paints_its_own_pixels_and_no_others(x, y, width, height, shade):
    width, height = min(width, 8 - x), min(height, 8 - y)
    pixels = bgrx(*[(shade, 0, 0)] * width * height)
    seen = {}

    async def look(desktop: Desktop) -> None:
        await desktop.update()
        image = desktop.image()
        seen.update({(i, j): image.getpixel((i, j))[0] for i in range(8) for j in range(8)})

    with_desktop(HELLO + server_init(8, 8) + update(raw(x, y, width, height, pixels)), look)
    inside = {(i, j) for i in range(x, x + width) for j in range(y, y + height)}
    assert {at for at, value in seen.items() if value == shade} == inside


def test_it_types_and_points():
    async def act(desktop: Desktop) -> None:
        await desktop.type("a\n")
        await desktop.point(300, 20, 1)

    wire = with_desktop(HELLO + server_init(1, 1), act)
    pressed = [struct.pack(">BBxxI", 4, down, key) for key in (ord("a"), 0xFF0D) for down in (1, 0)]
    assert wire.heard.endswith(b"".join(pressed) + struct.pack(">BBHH", 5, 1, 300, 20))


def screen(*, left: bool = True, right: bool = True, wallpaper: bool = True) -> Image.Image:
    """A desktop as it looks while it starts: parts of it drawn, the rest one colour."""
    image = Image.new("RGB", (900, 600), (30, 30, 30))
    shades = [(i, 2 * i, 255 - i) for i in range(40)]
    if wallpaper:
        for i, shade in enumerate(shades):
            image.paste(shade, (0, 300 + 5 * i, 900, 305 + 5 * i))
    for drawn, start in ((left, 10), (right, 700)):
        for i in range(20 if drawn else 0):
            image.putpixel((start + i, 10), shades[i])
    return image


@pytest.mark.parametrize("missing", ["left", "right", "wallpaper"])
def test_painted_needs_both_ends_of_the_panel_and_the_wallpaper(missing: str):
    assert painted(screen())
    assert not painted(screen(**{missing: False}))


def test_it_waits_until_the_last_part_is_painted():
    def whole(image: Image.Image) -> bytes:
        return update(raw(0, 0, 900, 600, image.convert("RGB").tobytes("raw", "BGRX")))

    said = whole(screen(left=False, wallpaper=False)) + whole(screen(right=False)) + whole(screen())

    async def look(desktop: Desktop) -> None:
        await wait_painted(desktop)
        assert painted(desktop.image())

    wire = with_desktop(HELLO + server_init(900, 600) + said, look)
    asked = [wire.heard[-10 * i :][:10] for i in (3, 2, 1)]
    assert [message[1] for message in asked] == [0, 1, 1]

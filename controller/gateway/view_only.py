"""Lets a browser look and nothing else: reads what it sends as RFB (RFC 6143) and hands on no input. Pure.

What a viewer may say is a short list; keys, pointer, clipboard, desktop size and power are dropped. A message
that is not known ends the stream, since nobody could tell where it ends. The shared flag is always set, or a
viewer could have the desktop send the others away.
"""

from __future__ import annotations

from collections.abc import Callable

HANDSHAKE = b"RFB 003.008\n\x01"  # the version, and security type "none"
SHARED = b"\x01"

# Message type -> how many bytes tell its length, and that length. RFC 6143, section 7.5; the rest are
# extensions of the registered numbers: continuous updates, fence, xvp, desktop size, QEMU's keys.
_LENGTHS: dict[int, tuple[int, Callable[[bytes], int]]] = {
    0: (1, lambda _: 20),
    2: (4, lambda head: 4 + 4 * int.from_bytes(head[2:4], "big")),
    3: (1, lambda _: 10),
    4: (1, lambda _: 8),
    5: (1, lambda _: 6),
    6: (8, lambda head: 8 + abs(int.from_bytes(head[4:8], "big", signed=True))),
    150: (1, lambda _: 10),
    248: (9, lambda head: 9 + head[8]),
    250: (1, lambda _: 4),
    251: (8, lambda head: 8 + 16 * head[6]),
    255: (2, lambda head: 12 if head[1] == 0 else 0),
}
# Pixel format, encodings, update request, continuous updates, fence: what a picture needs.
_LOOKS = frozenset({0, 2, 3, 150, 248})
_REQUEST, _REQUEST_SIZE = 3, 10


def looks_on(payload: bytes) -> bool:
    """Whether a frame of one who works is no input: viewers put each message into a frame of its own.

    A frame that begins with what a picture needs is none; any other is taken for input, the rest of a frame
    that was cut on its way too: too often rather than too seldom.
    """
    return payload[0] in _LOOKS and (payload[0] != _REQUEST or len(payload) % _REQUEST_SIZE == 0)


class ViewRefused(Exception):
    """What came is not what a viewer sends; nothing more may be handed on."""


class ViewOnly:
    """The messages of one viewer, in whatever pieces they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False
        self._skip = 0

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the viewer.

        Returns:
            what the desktop may have of them; whole messages only.

        Raises:
            ViewRefused: a message that no viewer sends.
        """
        self._buffer += data
        passed = bytearray() if self._greeted else bytearray(self._greeting())
        while self._greeted and self._buffer:
            if self._skip:
                dropped = min(self._skip, len(self._buffer))
                del self._buffer[:dropped]
                self._skip -= dropped
                continue
            length = self._length()
            if length is None:
                break
            if self._buffer[0] not in _LOOKS:
                self._skip = length
                continue
            if len(self._buffer) < length:
                break
            passed += self._buffer[:length]
            del self._buffer[:length]
        return bytes(passed)

    def _greeting(self) -> bytes:
        """The handshake once it is whole; the last byte, the shared flag, is ours."""
        size = len(HANDSHAKE)
        if not HANDSHAKE.startswith(bytes(self._buffer[:size])):
            raise ViewRefused("another handshake than RFB 3.8 without a password")
        if len(self._buffer) <= size:
            return b""
        del self._buffer[: size + 1]
        self._greeted = True
        return HANDSHAKE + SHARED

    def _length(self) -> int | None:
        """Of the message that begins here; None while too little of it has come."""
        kind = self._buffer[0]
        if kind not in _LENGTHS:
            raise ViewRefused(f"message {kind} is not known")
        head, length = _LENGTHS[kind]
        if len(self._buffer) < head:
            return None
        found = length(bytes(self._buffer[:head]))
        if not found:
            raise ViewRefused(f"message {kind} of another form is not known")
        return found

"""WebSocket frames (RFC 6455, sections 5 and 7) for a byte pipe. Pure: bytes in, pieces out.

Payloads of data frames are handed on as they come, so message boundaries and sizes cost no memory; RFB
does not know messages. Control frames are handed on whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_CONTROL = 0x8
_FIN = 0x80
_RESERVED = 0x70
_MASKED = 0x80
MAX_CONTROL = 125
MAX_FRAME = 1 << 26


class FrameRefused(Exception):
    """The peer broke the protocol; `code` is the close code it gets."""

    def __init__(self, code: int, why: str) -> None:
        """Args: a close code of RFC 6455, section 7.4; the reason."""
        self.code = code
        super().__init__(why)


@dataclass
class _Frame:
    opcode: int
    left: int
    key: bytes


class FrameReader:
    """Reads the frames of one client."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._frame: _Frame | None = None
        self._in_message = False

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes from the wire.

        Returns:
            (opcode, payload) of whole control frames and of pieces of binary messages, in order.

        Raises:
            FrameRefused: the peer broke the protocol; nothing more may be read.
        """
        self._buffer += data
        pieces: list[tuple[int, bytes]] = []
        while frame := self._frame or self._header():
            take = min(frame.left, len(self._buffer))
            whole = take == frame.left
            if not whole and (frame.opcode & _CONTROL or take == 0):
                self._frame = frame
                break
            if take or frame.opcode & _CONTROL:
                pieces.append((frame.opcode, unmask(self._buffer[:take], frame.key)))
            del self._buffer[:take]
            turn = take % 4
            rest = _Frame(frame.opcode, frame.left - take, frame.key[turn:] + frame.key[:turn])
            self._frame = None if whole else rest
        return pieces

    def _header(self) -> _Frame | None:
        """The next frame's header, taken off the buffer; None while it is incomplete."""
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[0], self._buffer[1]
        opcode = self._checked_opcode(first)
        if not second & _MASKED:
            raise FrameRefused(1002, "a client masks its frames")
        short = second & 0x7F
        extra = {126: 2, 127: 8}.get(short, 0)
        if opcode & _CONTROL and (extra or not first & _FIN):
            raise FrameRefused(1002, "control frames are short and whole")
        if len(self._buffer) < 2 + extra + 4:
            return None
        length = int.from_bytes(self._buffer[2 : 2 + extra], "big") if extra else short
        if extra and length < (126 if extra == 2 else 1 << 16):
            raise FrameRefused(1002, "the length is not in its shortest form")
        if length > MAX_FRAME:
            raise FrameRefused(1009, "the frame is too large")
        key = bytes(self._buffer[2 + extra : 6 + extra])
        del self._buffer[: 6 + extra]
        if not opcode & _CONTROL:
            self._in_message = not first & _FIN
            opcode = BINARY
        return _Frame(opcode, length, key)

    def _checked_opcode(self, first: int) -> int:
        opcode = first & 0x0F
        if first & _RESERVED or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise FrameRefused(1002, "an extension or opcode that was not agreed on")
        if opcode == TEXT:
            raise FrameRefused(1003, "this stream is binary")
        if (opcode == CONTINUATION and not self._in_message) or (opcode == BINARY and self._in_message):
            raise FrameRefused(1002, "fragments out of order")
        return opcode


def unmask(payload: bytes | bytearray, key: bytes) -> bytes:
    """XOR with the repeated key, as one integer: the fastest way plain Python has."""
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def header(opcode: int, size: int) -> bytes:
    """The header of an unmasked, unfragmented frame from the server."""
    if size < 126:
        return bytes((_FIN | opcode, size))
    if size < 1 << 16:
        return struct.pack("!BBH", _FIN | opcode, 126, size)
    return struct.pack("!BBQ", _FIN | opcode, 127, size)


def close_frame(code: int, why: str = "") -> bytes:
    """A whole close frame."""
    payload = struct.pack("!H", code) + why.encode()[: MAX_CONTROL - 2]
    return header(CLOSE, len(payload)) + payload


def close_reply(payload: bytes) -> bytes:
    """The answer to a client's close frame: its own code, or 1002 if that is malformed."""
    if not payload:
        return header(CLOSE, 0)
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 0
    allowed = code in range(3000, 5000) or code in (*range(1000, 1004), *range(1007, 1015))
    return close_frame(code if allowed else 1002)

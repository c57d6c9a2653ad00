"""A home's way through a pipe: frames, and at the end an object that says whether all of it came.

`btrfs receive` takes a stream that breaks off between two commands for a whole one. Here nothing is whole
without its last frame, which holds the SHA-256 of everything before it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from typing import IO, Any

from controller.host.words import RETRY, HostRefused

FRAME = 1 << 18
_LENGTH = struct.Struct(">I")


class Writer:
    """Frames bytes onto a file."""

    def __init__(self, out: IO[bytes]) -> None:
        """Args: where the frames go."""
        self._out, self._hash, self.bytes = out, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        """One frame; nothing for no bytes, for that would be the end."""
        if data:
            self._hash.update(data)
            self.bytes += len(data)
            self._out.write(_LENGTH.pack(len(data)) + data)

    def end(self, answer: dict[str, Any]) -> None:
        """The last frame: what the sender has to say."""
        last = json.dumps(answer | {"sha256": self._hash.hexdigest(), "stream_bytes": self.bytes}).encode()
        self._out.write(_LENGTH.pack(0) + _LENGTH.pack(len(last)) + last)
        self._out.flush()


class Reader:
    """Gives the bytes back, and at the end the sender's words."""

    def __init__(self, source: IO[bytes]) -> None:
        """Args: where the frames come from."""
        self._source, self._hash, self.bytes = source, hashlib.sha256(), 0
        self.answer: dict[str, Any] | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Frame by frame.

        Raises:
            HostRefused: home_broken_off, when it ends early or its sum is wrong; or the sender's refusal.
        """
        while length := self._number():
            if length > FRAME:
                raise HostRefused("home_broken_off", "a frame is larger than any that is sent")
            data = self._exactly(length)
            self._hash.update(data)
            self.bytes += length
            yield data
        self._end()

    def _end(self) -> None:
        length = self._number()
        if length > FRAME:
            raise HostRefused("home_broken_off", "the last frame is too large")
        said = json.loads(self._exactly(length))
        if not said["ok"]:
            code = said["code"] if said["code"] in RETRY else "home_broken_off"
            raise HostRefused(code, str(said["message"]))
        if said["sha256"] != self._hash.hexdigest():
            raise HostRefused("home_broken_off", "what came is not what was sent")
        self.answer = said

    def _number(self) -> int:
        return int(_LENGTH.unpack(self._exactly(_LENGTH.size))[0])

    def _exactly(self, length: int) -> bytes:
        data = self._source.read(length)
        if len(data) < length:
            raise HostRefused("home_broken_off", f"the stream broke off after {self.bytes} bytes")
        return data

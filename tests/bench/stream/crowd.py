"""People who move the mouse: each asks for an update ten times a second, and its whole way back is timed.

`python -m stream.crowd`: reads one JSON object from standard input, prints one. Latency counts from the
instant a request was due, not from when it was sent, so a gateway that falls behind cannot hide it.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import random
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, cast

import uvloop

from stream.desktop import ASKED, UPDATE

SIZE = len(UPDATE)
SAID = b"\x05\x00\x00\x07\x00\x07\x03\x01" + bytes(8)
KEY = b"\x11\x22\x33\x44"
FRAME = bytes((0x82, 0x80 | ASKED)) + KEY + bytes(b ^ KEY[i % 4] for i, b in enumerate(SAID))
OPEN_AT_ONCE = 20


@dataclass
class Target:
    """Where the stream is: a WebSocket on a port, or the desktop's own socket."""

    port: int = 0
    path: str = ""
    origin: str = ""


class Stream(asyncio.Protocol):
    """One stream; `due` are the instants of requests that are not answered yet."""

    def __init__(self, target: Target, ticket: str, took: list[float]) -> None:
        self._target, self._ticket, self._took = target, ticket, took
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.due: deque[float] = deque()
        self.answered: asyncio.Event | None = None
        self._head = bytearray()
        self._plain = bool(target.path)
        self._left = 0  # of the frame that is being read
        self._got = 0  # of the update that is being read
        self._opened = self._plain

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.out = cast(asyncio.Transport, transport)
        if self._plain:
            self.ready.set_result(None)
            return
        nonce = base64.b64encode(os.urandom(16)).decode()
        self.out.write(
            f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{self._target.port}\r\nOrigin: {self._target.origin}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\n"
            f"Sec-WebSocket-Protocol: {', '.join(['binary', *self._offers()])}\r\n\r\n".encode()
        )

    def _offers(self) -> list[str]:
        return [f"ticket.{self._ticket}"] if self._ticket else []

    def ask(self, due_s: float) -> None:
        self.due.append(due_s)
        self.out.write(SAID if self._plain else FRAME)

    def data_received(self, data: bytes) -> None:
        if not self._opened:
            data = self._read_answer(data)
        if self._plain:
            self._count(len(data))
            return
        view = memoryview(bytes(self._head) + data if self._head else data)
        self._head.clear()
        while view:
            if not self._left:
                length = self._length(view)
                if length is None:
                    self._head += view
                    return
                self._left, view = length[0], view[length[1] :]
            taken = min(self._left, len(view))
            self._left -= taken
            self._count(taken)
            view = view[taken:]

    def _read_answer(self, data: bytes) -> bytes:
        self._head += data
        head, end, rest = bytes(self._head).partition(b"\r\n\r\n")
        if not end:
            return b""
        if b" 101 " not in head.split(b"\r\n")[0]:
            self.ready.set_exception(ConnectionError(head.split(b"\r\n")[0].decode()))
        self._head.clear()
        self._opened = True
        self.ready.set_result(None)
        return rest

    @staticmethod
    def _length(view: memoryview) -> tuple[int, int] | None:
        """A frame's size and that of its header, from a server that sends binary frames and no pings yet."""
        if len(view) < 2:
            return None
        short = view[1]
        head = {126: 4, 127: 10}.get(short, 2)
        if len(view) < head:
            return None
        return (int.from_bytes(view[2:head], "big") if head > 2 else short), head

    def _count(self, size: int) -> None:
        self._got += size
        while self._got >= SIZE:
            self._got -= SIZE
            self._took.append(time.perf_counter() - self.due.popleft())
            if self.answered:
                self.answered.set()

    def connection_lost(self, _why: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed at once"))


async def connect(target: Target, ticket: str, took: list[float]) -> Stream:
    loop = asyncio.get_running_loop()
    if target.path:
        _, stream = await loop.create_unix_connection(lambda: Stream(target, ticket, took), target.path)
    else:
        _, stream = await loop.create_connection(
            lambda: Stream(target, ticket, took), "127.0.0.1", target.port
        )
    await stream.ready
    return stream


async def crowd(target: Target, tickets: list[str], seconds: float, every_s: float) -> list[float]:
    """All streams at once; milliseconds from due to whole, and endless ones for what never came."""
    took: list[float] = []
    streams: list[Stream] = []
    for at in range(0, len(tickets), OPEN_AT_ONCE):
        some = tickets[at : at + OPEN_AT_ONCE]
        streams += await asyncio.gather(*(connect(target, ticket, took) for ticket in some))
    gc.collect()
    gc.freeze()
    gc.disable()
    phases = random.Random(1)
    begin = time.perf_counter() + 0.2
    plan = sorted((begin + phases.random() * every_s, n) for n in range(len(streams)))
    end = begin + seconds
    turn = 0
    while plan[0][0] + turn * every_s < end:
        for phase, number in plan:
            due = phase + turn * every_s
            wait = due - time.perf_counter()
            if wait > 0.0005:
                await asyncio.sleep(wait)
            elif number % 32 == 0:
                await asyncio.sleep(0)  # behind: what has come is read, or nothing ever would be
            streams[number].ask(due)
        turn += 1
    await asyncio.sleep(0.5)
    missing = sum(len(stream.due) for stream in streams)
    for stream in streams:
        stream.out.abort()
    return [1000 * one for one in took] + [1e9] * missing


async def alone(target: Target, ticket: str, count: int) -> list[float]:
    """One stream, one request after the other: what the way itself takes."""
    took: list[float] = []
    stream = await connect(target, ticket, took)
    stream.answered = asyncio.Event()
    for _ in range(count):
        stream.answered.clear()
        stream.ask(time.perf_counter())
        await stream.answered.wait()
    stream.out.abort()
    return [1000 * one for one in took]


def figures(took: list[float]) -> dict[str, Any]:
    ranked = sorted(took)
    return {
        "count": len(ranked),
        "p50_ms": ranked[len(ranked) // 2],
        "p99_ms": ranked[max(0, -(-99 * len(ranked) // 100) - 1)],
        "load_cpu_s": time.process_time(),
    }


def main() -> None:
    asked = json.load(sys.stdin)
    target = Target(**asked["target"])
    if asked["alone"]:
        took = uvloop.run(alone(target, asked["tickets"][0], asked["alone"]))
    else:
        took = uvloop.run(crowd(target, asked["tickets"], asked["seconds"], asked["every_s"]))
    sys.stdout.write(json.dumps(figures(took)))


if __name__ == "__main__":
    main()

"""Pages that beat and guards that report, over real HTTP from a process of their own.

`python -m load.people`: one JSON object in, one out. Each page and each guard has its own rhythm and its own
kept connection, as browsers and guards do; a page's wait counts from the instant its beat was due.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

LATE_S = 5.0  # who is so far behind at the end stops asking


@dataclass
class Line:
    """One kept HTTP/1.1 connection."""

    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, headers: str, body: bytes) -> tuple[int, bytes]:
        """One request; a connection that the server closed while it was idle is opened anew, once."""
        for attempt in (1, 2):
            fresh = self.writer is None
            if self.reader is None or self.writer is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                self.writer.write(
                    f"POST {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\n{headers}"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                return await self._answer(self.reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.writer.close()
                self.reader = self.writer = None
                if fresh or attempt == 2:
                    raise
        raise AssertionError

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
        body = await reader.readexactly(length)
        if "connection: close" in head and self.writer:
            self.writer.close()
            self.reader = self.writer = None
        return int(head.split(" ", 2)[1]), body


@dataclass
class Seen:
    """What came of it."""

    beats_ms: list[float] = field(default_factory=list)
    reports_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def page(asked: dict[str, Any], person: dict[str, str], at_s: float, end_s: float, seen: Seen) -> None:
    line = Line(asked["port"])
    headers = (
        f"Origin: {asked['origin']}\r\nX-CSRF-Token: {person['csrf']}\r\n"
        f"Cookie: axonos_session={person['token']}\r\n"
    )
    body = json.dumps({"tab": person["session"], "view_only": False}).encode()
    path = f"/api/v1/sessions/{person['session']}/heartbeat"
    while at_s < end_s and time.perf_counter() < end_s + LATE_S:
        await asyncio.sleep(max(0, at_s - time.perf_counter()))
        await timed(line.post(path, headers, body), at_s, seen.beats_ms, seen)
        at_s += asked["heartbeat_s"]


async def guard(asked: dict[str, Any], host: dict[str, Any], at_s: float, end_s: float, seen: Seen) -> None:
    line = Line(asked["port"])
    headers = f"Authorization: Bearer {asked['guard_token']}\r\n"
    while at_s < end_s and time.perf_counter() < end_s + LATE_S:
        await asyncio.sleep(max(0, at_s - time.perf_counter()))
        body = {
            "host": host["name"],
            "boot_id": "b",
            "at_ms": round(time.time() * 1000),
            "slots": host["slots"],
        }
        sent = json.dumps(body | {"delivered": []}).encode()
        await timed(line.post("/internal/guard/report", headers, sent), at_s, seen.reports_ms, seen)
        at_s += asked["report_s"]


async def timed(answer: Any, due_s: float, into: list[float], seen: Seen) -> None:
    try:
        status, body = await answer
        if status != 200:
            seen.failed.append(f"{status} {body[:200]!r}")
    except (OSError, asyncio.IncompleteReadError) as error:
        seen.failed.append(f"{type(error).__name__}: {error}")
    into.append(1000 * (time.perf_counter() - due_s))


async def crowd(asked: dict[str, Any]) -> Seen:
    """Everybody, for so many seconds, their rhythms spread evenly by chance."""
    seen, chance = Seen(), random.Random(1)
    begin = time.perf_counter() + 0.5
    end = begin + asked["seconds"]
    pages = [
        page(asked, person, begin + chance.random() * asked["heartbeat_s"], end, seen)
        for person in asked["people"]
    ]
    guards = [
        guard(asked, host, begin + chance.random() * asked["report_s"], end, seen) for host in asked["hosts"]
    ]
    await asyncio.gather(*pages, *guards)
    return seen


if __name__ == "__main__":
    found = asyncio.run(crowd(json.load(sys.stdin)))
    sys.stdout.write(json.dumps(vars(found)))

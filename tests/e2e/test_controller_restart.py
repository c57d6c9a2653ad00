"""The controller is killed while people work: not one stream notices."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from desktop_kit import TERMINAL as COLOUR
from desktop_kit import share
from platform_kit import Platform

from controller import rfb
from controller.errors import AxonosError
from controller.selfcheck.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
PEOPLE = 2
TERMINAL = (0xFFE3, 0xFFE9, ord("t"))  # Ctrl, Alt, t
CLOCK = "while date +%N; do sleep 0.05; done\n"


def controller_processes(platform: Platform) -> list[int]:
    """Worker and web processes of this instance, the web's masters and children alike."""
    found = []
    config = f"AXONOS_CONFIG={platform.settings.state_dir}/axonos.toml".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            ours = config in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if ours and (b"controller.worker" in words or any(word.endswith(b"gunicorn") for word in words)):
            found.append(int(folder.name))
    return found


class Stream:
    """One person's stream, read all the time; how many updates came, and whether it broke."""

    def __init__(self, desktop: rfb.Desktop) -> None:
        self.desktop, self.updates = desktop, 0
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            await self.desktop.update()
            self.updates += 1

    async def comes_to(self, updates: int) -> None:
        """Wait for more updates; a stream that broke fails here."""
        deadline = time.monotonic() + 30
        while self.updates < updates:
            assert time.monotonic() < deadline, f"only {self.updates} updates came"
            if self.task.done():
                self.task.result()
            await asyncio.sleep(0.02)


async def open_clock(visitor: Visitor, session: str, stack: AsyncExitStack) -> Stream:
    """The desktop, with a terminal in which something new is written twenty times a second."""
    visitor.post(f"sessions/{session}/attach")
    given = visitor.post(f"sessions/{session}/stream")
    desktop = await rfb.open_stream(given["gateway_url"], given["ticket"], visitor.origin)
    await stack.enter_async_context(desktop)
    await rfb.wait_painted(desktop)
    for down in (1, 0):
        for key in TERMINAL:
            await desktop.write(bytes((4, down, 0, 0)) + key.to_bytes(4, "big"))
    stream = Stream(desktop)
    stack.callback(stream.task.cancel)
    while share(desktop.image(), COLOUR) < 0.15:
        assert not stream.task.done()
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)  # the shell's prompt
    await desktop.type(CLOCK)
    await stream.comes_to(stream.updates + 20)
    return stream


async def restart_under(platform: Platform, people: list[tuple[Visitor, str]]) -> list[int]:
    """Kill web and worker twice while streams run; the updates each stream got meanwhile."""
    async with AsyncExitStack() as stack:
        streams = [await open_clock(visitor, session, stack) for visitor, session in people]
        before = [stream.updates for stream in streams]
        for _ in range(2):
            killed = controller_processes(platform)
            assert len(killed) >= 3, "worker, and the site's two"
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            for stream in streams:
                await stream.comes_to(stream.updates + 40)
            await asyncio.to_thread(back, people)
        for stream in streams:
            await stream.comes_to(stream.updates + 20)
            assert not stream.task.done()
        return [stream.updates - at for stream, at in zip(streams, before, strict=True)]


def back(people: list[tuple[Visitor, str]]) -> None:
    """The site answers again, still knows everybody, and their sessions run."""
    deadline = time.monotonic() + 60
    while True:
        try:
            states = [visitor.post(f"sessions/{session}/heartbeat")["state"] for visitor, session in people]
        except (AxonosError, OSError, httpx.HTTPError):
            assert time.monotonic() < deadline, "the site did not come back"
            time.sleep(0.2)
        else:
            assert states == ["running"] * len(people)
            return


def test_killing_the_controller_drops_no_stream(platform: Platform) -> None:
    people: list[tuple[Visitor, str]] = []
    try:
        for _ in range(PEOPLE):
            visitor = Visitor(platform.origin)
            visitor.sign_in()
            visitor.take_play_money()
            visitor.wait_credited(visitor.pay_minimum())
            people.append((visitor, visitor.launch()))
            visitor.wait_running()
        updates = asyncio.run(asyncio.wait_for(restart_under(platform, people), 180))
        assert all(count >= 100 for count in updates)
    finally:
        for visitor, session in people:
            visitor.end(session)
            visitor.__exit__(None, None, None)

"""The bench in short: the crowd measures what is there, and finds a gateway that is slow or loses updates."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stream import gateways
from stream.__main__ import Bench
from stream.crowd import Target, crowd
from stream.desktop import ASKED, UPDATE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a desktop listens as another user: root only")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(0o755)
    return tmp_path


def test_a_small_crowd_through_the_gateway(folder: Path) -> None:
    with (
        gateways.desktop(folder, 10, first=False) as path,
        gateways.running(gateways.Ours(folder, first=False)) as ours,
    ):
        bench = Bench(folder, path, 1, first=False)
        found = bench.load(ours, 10)
        assert found["count"] in range(90, 111), "ten updates a second and stream, none lost"
        assert 0 < found["p50_ms"] < 100
        assert bench.load(ours, 1, alone=50)["count"] == 50
        assert bench.load(None, 1, alone=50)["p50_ms"] < found["p50_ms"]


class Late(asyncio.Protocol):
    """A desktop that stalls on every tenth answer and swallows the last."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.out, self.count = transport, 0

    def data_received(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(len(data) // ASKED):
            self.count += 1
            if self.count < 9:
                loop.call_later(0.3 if self.count >= 5 else 0, self.out.write, UPDATE)


def test_what_comes_late_or_never_is_counted(folder: Path) -> None:
    async def measure() -> list[float]:
        path = str(folder / "rfb.sock")
        server = await asyncio.get_running_loop().create_unix_server(Late, path)
        async with server:
            return await crowd(Target(path=path), [""], 1, 0.1)

    took = asyncio.run(measure())
    assert took.count(1e9) == len(took) - 8 >= 1
    assert sorted(took)[7] > 150

"""The gateway notes that somebody typed or clicked, and nothing else, for the guard to see."""

import asyncio
import time

import pytest
from gatewaykit import SLOT

from controller.gateway.view_only import looks_on

pytestmark = pytest.mark.integration
REQUEST, KEY = bytes([3, 1, 0, 0, 0, 0, 0, 9, 0, 9]), bytes([4, 1, 0, 0, 0, 0, 0, 97])


def test_input_is_noted_and_looking_is_not(gateway):
    async def scene():
        async with (
            await gateway.desktop(),
            gateway.open() as works,
            gateway.open(gateway.ticket(view_only=True)) as looks,
        ):
            await looks.send(b"RFB 003.008\n\x01\x01" + KEY)
            for said in (REQUEST, REQUEST + REQUEST, bytes([0]) + bytes(19)):
                await works.send(said)
            await works.ping()
            await asyncio.sleep(0.2)
            assert not mark.exists()
            await works.send(KEY)
            deadline = time.monotonic() + 5
            while not mark.exists():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)

    inputs = gateway.folder / "inputs"
    inputs.mkdir()
    mark = inputs / SLOT
    gateway.start()
    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize(
    "payload",
    [KEY, bytes([5]) + bytes(5), bytes([6]) + bytes(7), bytes([255]) + bytes(11), REQUEST + b"\x04"],
)
def test_whatever_is_not_surely_a_look_is_input(payload):
    assert not looks_on(payload)

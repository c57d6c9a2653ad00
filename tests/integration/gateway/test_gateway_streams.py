"""A real gateway process, real WebSocket clients, and everything a stranger could try."""

import asyncio
import base64
import os
import time

import httpx
import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gatewaykit import ORIGIN, SLOT, as_user, listen

from controller.domain.ticket import issue

pytestmark = pytest.mark.integration
GREETING = b"RFB 003.008\n"


def scenario(test):
    """Run an async test; no plugin needed for that."""

    def run(gateway):
        gateway.start()
        asyncio.run(asyncio.wait_for(test(gateway), 60))

    run.__doc__ = test.__doc__
    return run


async def refused_with(opening):
    """The close code of a stream that is opened and closed again."""
    async with opening as stream:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await stream.recv()
        return closed.value.rcvd.code


async def http_status(opening):
    with pytest.raises(websockets.InvalidStatus) as refused:
        await opening
    return refused.value.response.status_code


async def bytes_of(stream, count):
    """Frames are pieces of a byte stream: read until there are enough."""
    got = b""
    while len(got) < count:
        got += await stream.recv()
    return got


@scenario
async def test_bytes_go_both_ways_unchanged(gateway):
    async with await gateway.desktop(), gateway.open(max_size=None) as stream:
        assert stream.subprotocol == "binary"
        assert await bytes_of(stream, len(GREETING)) == GREETING
        for size in (1, 125, 126, 65_535, 65_536, 1_000_000):
            payload = os.urandom(size)
            await stream.send(payload)
            assert await bytes_of(stream, size) == payload
        await stream.send([b"frag", b"ment", b"ed"])
        assert await bytes_of(stream, 10) == b"fragmented"
        await asyncio.wait_for(await stream.ping(), 5)


@scenario
async def test_a_ticket_opens_one_stream_once(gateway):
    async with await gateway.desktop():
        ticket = gateway.ticket()
        async with gateway.open(ticket) as stream:
            await stream.recv()
        assert await refused_with(gateway.open(ticket)) == 4409


@scenario
async def test_bad_tickets_are_refused(gateway):
    now = round(time.time() * 1000)
    stranger = Ed25519PrivateKey.generate()
    good = gateway.ticket()
    async with await gateway.desktop():
        for ticket in (
            gateway.ticket(issued_at_ms=now - 30_001, expires_at_ms=now - 1),
            gateway.ticket(origin="http://localhost:9999"),
            gateway.ticket(host="host-2"),
            gateway.ticket(slot="../../../run/docker"),
            issue(gateway.claims(), stranger.sign),
            good[:-6] + ("A" if good[-6] != "A" else "B") + good[-5:],
            "x" + good,
            "nonsense",
        ):
            assert await refused_with(gateway.open(ticket)) == 4401
        async with gateway.open(good) as stream:  # a refused copy does not burn the real one
            assert await stream.recv() == GREETING


@scenario
async def test_other_pages_get_no_stream_even_with_a_ticket(gateway):
    async with await gateway.desktop():
        for origin in ("http://127.0.0.1:8080", "https://evil.example.org", None):
            assert await http_status(gateway.open(origin=origin)) == 403


@scenario
async def test_a_restarted_gateway_refuses_what_its_predecessor_may_have_burned(gateway):
    ticket = gateway.ticket()
    gateway.stop()
    gateway.start()
    async with await gateway.desktop():
        assert await refused_with(gateway.open(ticket)) == 4401


@scenario
async def test_no_desktop_is_said(gateway):
    assert await refused_with(gateway.open()) == 4404
    gateway.socket_folder()
    assert await refused_with(gateway.open()) == 4404


@scenario
async def test_a_link_in_the_folder_is_not_followed(gateway):
    async with await gateway.desktop(slot="s-ffffffffffff"):
        victim = gateway.socket_folder("s-ffffffffffff") / "rfb.sock"
        (gateway.socket_folder() / "rfb.sock").symlink_to(victim)
        assert await refused_with(gateway.open()) == 4404
        folder = gateway.folder / "slots"
        (folder / SLOT / "rfb.sock").unlink()
        (folder / SLOT).rmdir()
        (folder / SLOT).symlink_to(folder / "s-ffffffffffff")
        assert await refused_with(gateway.open()) == 4404


@scenario
async def test_a_socket_of_another_user_is_not_a_desktop(gateway):
    path = gateway.socket_folder() / "rfb.sock"
    async with await asyncio.start_unix_server(lambda _r, w: w.close(), sock=listen(str(path))):
        assert await refused_with(gateway.open()) == 4404
        os.chown(path, gateway.uid, gateway.uid)  # owner forged, listener still somebody else
        assert await refused_with(gateway.open()) == 4404


@scenario
async def test_a_plain_file_or_fifo_is_not_a_desktop(gateway):
    folder = gateway.socket_folder()
    os.chown(folder, gateway.uid, gateway.uid)
    for make in (os.mkfifo, os.mkdir, os.mknod):
        with as_user(gateway.uid, folder):
            make("rfb.sock")
        assert await refused_with(gateway.open()) == 4404
        (folder / "rfb.sock").rename(folder / make.__name__)


@scenario
async def test_a_second_tab_takes_over_and_the_first_is_told(gateway):
    async with await gateway.desktop(), gateway.open() as first, gateway.open() as second:
        await second.recv()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await bytes_of(first, 1_000)
        assert closed.value.rcvd.code == 4410
        await second.send(b"mine")
        assert await bytes_of(second, 4) == b"mine"


class Heard:
    """A desktop that writes down everything anybody sends it, and shows each that it is there."""

    def __init__(self):
        self.said = []

    async def serve(self, reader, writer):
        mine = bytearray()
        self.said.append(mine)
        writer.write(GREETING)
        while data := await reader.read(65_536):
            mine += data
            writer.write(b"." * len(data))

    async def comes_to(self, number, count):
        deadline = time.monotonic() + 10
        while len(self.said) <= number or len(self.said[number]) < count:
            assert time.monotonic() < deadline, self.said
            await asyncio.sleep(0.01)
        return bytes(self.said[number])


HELLO, LOOK = b"RFB 003.008\n\x01\x00", bytes([3, 0, 0, 0, 0, 0, 0, 9, 0, 9])
SHARED_HELLO = HELLO[:-1] + b"\x01"
KEY, CLICK = bytes([4, 1, 0, 0, 0, 0, 0, 97]), bytes([5, 1, 0, 5, 0, 5])
CLIPBOARD, RESIZE = bytes([6, 0, 0, 0, 0, 0, 0, 2]) + b"rm", bytes([251, 0, 9, 9, 9, 9, 0, 0])
POWER, QEMU_KEY = bytes([250, 0, 1, 2]), bytes([255, 0]) + bytes(10)


@scenario
async def test_a_viewer_sees_and_nothing_it_sends_gets_to_the_desktop(gateway):
    heard = Heard()
    view = gateway.ticket(view_only=True)
    async with await gateway.desktop(heard.serve), gateway.open() as works:
        assert await works.recv() == GREETING
        async with gateway.open(view) as looks:
            assert await bytes_of(looks, len(GREETING)) == GREETING
            attack = KEY + CLICK + CLIPBOARD + RESIZE + POWER + QEMU_KEY
            await looks.send(HELLO + attack + LOOK)
            for at in range(
                len(attack)
            ):  # cut anywhere, in frames of one byte, in one message of many frames
                await looks.send(attack[at : at + 1])
            await looks.send([KEY[:3], KEY[3:], CLICK])
            await looks.send(LOOK)
            wanted = SHARED_HELLO + LOOK + LOOK
            assert await heard.comes_to(1, len(wanted)) == wanted
            await bytes_of(looks, len(wanted))
            await works.send(KEY)  # who works there is not disturbed, and is still heard
            assert await heard.comes_to(0, len(KEY)) == KEY
            await looks.send(b"\x63 what is this")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await looks.recv()
            assert closed.value.rcvd.code == 1008
        assert bytes(heard.said[1]) == wanted
        await works.ping()
    assert await refused_with(gateway.open(view)) == 4409


@scenario
async def test_a_ticket_to_look_cannot_be_made_one_to_work(gateway):
    ticket = gateway.ticket(view_only=True)
    payload, _, signature = ticket.partition(".")
    said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).replace(b"true", b"false")
    forged = base64.urlsafe_b64encode(said).rstrip(b"=").decode() + "." + signature
    async with await gateway.desktop():
        assert await refused_with(gateway.open(forged)) == 4401


@scenario
async def test_viewers_end_with_the_desktop_and_are_bounded(gateway):
    async with await gateway.desktop():
        looking = [await gateway.open(gateway.ticket(view_only=True)) for _ in range(8)]
        assert await refused_with(gateway.open(gateway.ticket(view_only=True))) == 4429
        async with gateway.open() as works:
            assert await works.recv() == GREETING
        looking.pop().transport.abort()
        async with httpx.AsyncClient() as client:
            deadline = time.monotonic() + 5
            while (await client.get(f"http://127.0.0.1:{gateway.port}/healthz")).json()["streams"] != 7:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
        await asyncio.to_thread(gateway.stop)
        for stream in looking:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await bytes_of(stream, 1_000)
            assert closed.value.rcvd.code == 1001


@scenario
async def test_a_desktop_that_goes_away_ends_the_stream(gateway):
    async def goodbye(_reader, writer):
        writer.write(b"bye")
        writer.close()

    async with await gateway.desktop(goodbye), gateway.open() as stream:
        assert await stream.recv() == b"bye"
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await stream.recv()
        assert closed.value.rcvd.code == 1001


@scenario
async def test_a_browser_that_goes_away_frees_the_desktop(gateway):
    ended = asyncio.Event()

    async def watched(reader, writer):
        while await reader.read(100):
            pass
        ended.set()
        writer.close()

    async with await gateway.desktop(watched):
        stream = await gateway.open()
        stream.transport.abort()
        await asyncio.wait_for(ended.wait(), 5)


@scenario
async def test_a_slow_browser_slows_the_desktop_not_the_memory(gateway):
    sent = 0

    async def flood(_reader, writer):
        nonlocal sent
        while sent < 200_000_000:
            writer.write(bytes(100_000))
            await writer.drain()
            sent += 100_000
        writer.close()

    async with await gateway.desktop(flood):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(
            f"GET /stream HTTP/1.1\r\nOrigin: {ORIGIN}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: binary, ticket.{gateway.ticket()}\r\n\r\n".encode()
        )
        reader._transport.pause_reading()
        before = -1
        while before != sent or sent == 0:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 50_000_000
        writer.transport.abort()


@scenario
async def test_a_broken_frame_closes_with_1002(gateway):
    async with await gateway.desktop():
        stream = await gateway.open()
        await stream.recv()
        stream.transport.write(b"\x82\x01a")  # not masked
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await stream.recv()
        assert closed.value.rcvd.code == 1002


@scenario
async def test_text_closes_with_1003(gateway):
    async with await gateway.desktop(), gateway.open() as stream:
        await stream.recv()
        await stream.send("text")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await stream.recv()
        assert closed.value.rcvd.code == 1003


@scenario
async def test_a_stop_tells_the_browsers_and_ends(gateway):
    async with await gateway.desktop(), gateway.open() as stream:
        await stream.recv()
        await asyncio.to_thread(gateway.stop)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await stream.recv()
        assert closed.value.rcvd.code == 1001


@scenario
async def test_nothing_secret_is_logged_and_health_counts(gateway):
    async with await gateway.desktop():
        ticket = gateway.ticket()
        url = f"http://127.0.0.1:{gateway.port}/healthz"
        async with gateway.open(ticket, additional_headers={"Cookie": "axonos_session=topsecret"}) as stream:
            await stream.recv()
            async with httpx.AsyncClient() as client:
                assert (await client.get(url)).json()["streams"] == 1
        await refused_with(gateway.open(ticket))
    log = gateway.log.read_text()
    assert SLOT in log
    assert "burned" in log
    assert not any(secret in log for secret in (ticket, ticket[:40], ticket[-40:], "topsecret"))


@scenario
async def test_plain_http_gets_plain_answers(gateway):
    base = f"http://127.0.0.1:{gateway.port}"
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{base}/stream")).status_code == 403
        assert (await client.get(f"{base}/stream", headers={"Origin": ORIGIN})).status_code == 426
        assert (await client.get(f"{base}/etc/passwd")).status_code == 404
        assert (await client.post(f"{base}/stream")).status_code == 405
        assert (await client.get(f"{base}/healthz", headers={"X": "x" * 20_000})).status_code == 431

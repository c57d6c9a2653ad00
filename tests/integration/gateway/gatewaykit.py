"""A gateway process of its own, its key, and desktops that are plain unix servers."""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import uuid

import httpx
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from controller.domain.ticket import TicketClaims, issue

ORIGIN = "http://localhost:8080"
SLOT = "s-0123456789ab"
CONFIG = """
instance = "gatewaytest"
[host]
name = "host-1"
controller_url = "http://127.0.0.1:9"
homes_dir = "{folder}"
run_dir = "{folder}"
ticket_public_key = "{folder}/ticket_public.pem"
guard_token = "{folder}/none"
pages_origin = "http://localhost:8080"
session_uid = {uid}
[gateway]
port = {port}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class GatewayKit:
    """One gateway and the key that signs its tickets."""

    def __init__(self, folder, uid):
        self.folder, self.uid, self.port = folder, uid, free_port()
        self.key = Ed25519PrivateKey.generate()
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "ticket_public.pem").write_bytes(public)
        (folder / "axonos.toml").write_text(CONFIG.format(folder=folder, uid=uid, port=self.port))
        self.process = None
        self.log = folder / "gateway.log"

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "controller.gateway"],
                env={**os.environ, "AXONOS_CONFIG": str(self.folder / "axonos.toml")}, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{self.port}/healthz").raise_for_status().json()
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
            self.process = None

    def claims(self, **changes):
        now = round(time.time() * 1000)
        base = {
            "id": uuid.uuid4().hex,
            "session": "session-1",
            "slot": SLOT,
            "host": "host-1",
            "origin": ORIGIN,
            "issued_at_ms": now,
            "expires_at_ms": now + 30_000,
        }
        return TicketClaims(**base | changes)

    def ticket(self, **changes):
        return issue(self.claims(**changes), self.key.sign)

    def open(self, ticket=None, *, origin=ORIGIN, **options):
        offered = ["binary", f"ticket.{ticket or self.ticket()}"]
        return websockets.connect(
            f"ws://127.0.0.1:{self.port}/stream",
            origin=origin,
            subprotocols=offered,
            compression=None,
            **options,
        )

    def socket_folder(self, slot=SLOT):
        folder = self.folder / "slots" / slot
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def desktop(self, serve=None, slot=SLOT):
        """A fake RFB server: greets, then echoes; as the session user."""
        folder = self.socket_folder(slot)
        os.chown(folder, self.uid, self.uid)
        with as_user(self.uid, folder):
            return await asyncio.start_unix_server(closing(serve or echo), sock=listen("rfb.sock"))


def listen(path):
    """A unix socket owned by whoever this process is now: the kernel notes the listener's user."""
    pathlib.Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    return listener


@contextlib.contextmanager
def as_user(uid, folder):
    """Be another user inside one folder; its parents may be closed to that user."""
    before, own = pathlib.Path.cwd(), os.geteuid()
    os.chdir(folder)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(own)
        os.chdir(before)


async def echo(reader, writer):
    writer.write(b"RFB 003.008\n")
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


def closing(serve):
    """A connection handler that always closes, and does not mind a peer that went away."""

    async def run(reader, writer):
        try:
            with contextlib.suppress(ConnectionError):
                await serve(reader, writer)
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()  # what is still unsent would keep it open
            raise

    return run

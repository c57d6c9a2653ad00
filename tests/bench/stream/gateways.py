"""The two gateways, each a process on a core of its own: the product's, and websockify from a venv that is thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from controller.domain.ticket import TicketClaims, issue

ORIGIN, SLOT, HOST = "http://localhost:8080", "s-0123456789ab", "bench"
SESSION_UID = 7000
GATEWAY_CORE, LOAD_CORE = 0, 1
PRIORITY = 5
PEER = Path(__file__).with_name("websockify.lock")
CONFIG = """
instance = "streambench"
[host]
name = "{host}"
controller_url = "http://127.0.0.1:9"
homes_dir = "{folder}"
run_dir = "{folder}"
ticket_public_key = "{folder}/ticket_public.pem"
guard_token = "{folder}/none"
pages_origin = "{origin}"
session_uid = {uid}
[gateway]
port = {port}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    command: list[str], core: int, *, first: bool, env: dict[str, str] | None = None, **pipes: Any
) -> subprocess.Popen[bytes]:
    """A program on one core, and before everything else there if `first`."""
    place = ["taskset", "-c", str(core), *(["chrt", "-f", str(PRIORITY)] if first else [])]
    words = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(env or {})}
    return subprocess.Popen([*place, *command], env=words, **pipes)


def may_be_first() -> bool:
    """Whether this machine lets a process run before all others."""
    try:
        before = os.sched_getscheduler(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        os.sched_setscheduler(0, before, os.sched_param(0))
    except PermissionError:
        return False
    return True


class Ours:
    """The product's gateway, with a key of the bench."""

    name = "ours"

    def __init__(self, folder: Path, *, first: bool) -> None:
        self.port, self._key = free_port(), Ed25519PrivateKey.generate()
        public = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "ticket_public.pem").write_bytes(public)
        text = CONFIG.format(host=HOST, folder=folder, origin=ORIGIN, uid=SESSION_UID, port=self.port)
        (folder / "axonos.toml").write_text(text)
        self.process = start(
            [sys.executable, "-m", "controller.gateway"],
            GATEWAY_CORE,
            first=first,
            env={"AXONOS_CONFIG": str(folder / "axonos.toml")},
            stderr=subprocess.DEVNULL,
        )

    def tickets(self, count: int) -> list[str]:
        """Fresh ones; each is good for a stream that goes on to take the desktop over, so slots differ."""
        now = round(time.time() * 1000)
        return [
            issue(
                TicketClaims(
                    uuid.uuid4().hex, "bench", slot(number), HOST, ORIGIN, now, now + 30_000, view_only=False
                ),
                self._key.sign,
            )
            for number in range(count)
        ]


class Websockify:
    """The peer: a process for each stream."""

    name = "websockify"

    def __init__(self, folder: Path, python: Path, *, first: bool) -> None:
        self.port = free_port()
        target = folder / "slots" / SLOT / "rfb.sock"
        self.process = start(
            [str(python), "-m", "websockify", f"--unix-target={target}", f"127.0.0.1:{self.port}"],
            GATEWAY_CORE,
            first=first,
            env={"PYTHONPATH": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def tickets(self, count: int) -> list[str]:
        return [""] * count


def slot(number: int) -> str:
    """The slots all lead to the one desktop, by hard links: the gateway takes one stream a slot."""
    return f"s-{number:012x}"


@contextmanager
def desktop(folder: Path, slots: int, *, first: bool) -> Iterator[Path]:
    """A desktop that answers in every slot; its socket in the first one."""
    sockets = folder / "slots" / SLOT
    sockets.mkdir(parents=True)
    path = sockets / "rfb.sock"
    process = start(
        [sys.executable, "-m", "stream.desktop", str(path), str(SESSION_UID)], LOAD_CORE, first=first
    )
    try:
        wait(path.exists, "the desktop")
        for number in range(slots):
            other = folder / "slots" / slot(number)
            if not other.exists():
                other.mkdir()
                (other / "rfb.sock").hardlink_to(path)
        yield path
    finally:
        process.kill()
        process.wait()


@contextmanager
def running(gateway: Ours | Websockify) -> Iterator[Ours | Websockify]:
    try:
        wait(lambda: answers(gateway.port), gateway.name)
        yield gateway
    finally:
        gateway.process.send_signal(signal.SIGTERM)
        try:
            gateway.process.wait(10)
        except subprocess.TimeoutExpired:
            gateway.process.kill()
            gateway.process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait(seen: Callable[[], bool], what: str, limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up")
        time.sleep(0.02)


@contextmanager
def peer_python(folder: Path) -> Iterator[Path]:
    """A venv with websockify in exactly the versions of the lock, gone afterwards."""
    venv = folder / "peer"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--require-hashes", "--only-binary=:all:", "-r", PEER]
    try:
        subprocess.run(command, check=True, stdout=sys.stderr)
        yield python
    finally:
        shutil.rmtree(venv)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        children = Path(f"/proc/{one}/task/{one}/children")
        if children.exists():
            found += [int(child) for child in children.read_text().split()]
    return found


def pss_kib(pid: int) -> int:
    """Memory of the whole tree, what is shared counted once."""
    total = 0
    for one in tree(pid):
        rollup = Path(f"/proc/{one}/smaps_rollup")
        if rollup.exists():
            total += next(
                int(line.split()[1]) for line in rollup.read_text().splitlines() if line.startswith("Pss:")
            )
    return total

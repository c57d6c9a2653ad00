"""The peer of a launch: a plain `docker run` of the same image, watched through its socket until painted."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller import rfb
from controller.errors import AxonosError

TIMEOUT_S = 60


@contextmanager
def own_network() -> Iterator[str]:
    """A bridge network for the peers: some engines have no default bridge. Gone afterwards."""
    name = f"axonos-bench-{secrets.token_hex(4)}"
    _docker("network", "create", name)
    try:
        yield name
    finally:
        _docker("network", "rm", name)


async def launch_ms(image: str, uid: int, network: str) -> float:
    """Milliseconds from `docker run` to a painted desktop. The container is gone afterwards.

    Args:
        image: image ID.
        uid: the desktop's user inside the image.
        network: of Docker, made before.
    """
    folder = _make_folder(uid)
    began = time.monotonic()
    container = await asyncio.to_thread(_run, image, folder, network)
    try:
        await asyncio.wait_for(_painted(folder / "desktop" / "rfb.sock"), TIMEOUT_S)
        return (time.monotonic() - began) * 1000
    finally:
        await asyncio.to_thread(_docker, "rm", "-f", container)
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder(uid: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="axonos-bench-"))
    for name in ("desktop", "home"):
        (folder / name).mkdir()
        os.chown(folder / name, uid, uid)
    folder.chmod(0o711)
    return folder


def _run(image: str, folder: Path, network: str) -> str:
    volumes = ["-v", f"{folder}/desktop:/run/desktop", "-v", f"{folder}/home:/home/axon"]
    return _docker("run", "-d", "--network", network, "--shm-size", "1g", *volumes, image)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AxonosError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


async def _painted(socket: Path) -> None:
    while True:
        try:
            desktop = await rfb.open_socket(socket)
        except (FileNotFoundError, ConnectionRefusedError):
            await asyncio.sleep(0.005)
            continue
        async with desktop:
            await rfb.wait_painted(desktop)
            return

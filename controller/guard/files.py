"""Listens for the gateway and starts `controller.files` for each connection about a home."""

from __future__ import annotations

import grp
import logging
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from controller.host.config import HostConfig
from controller.host.names import FILES_SOCKET

log = logging.getLogger("axonos.guard")
MOST = 64
LOOK_S = 1.0


def listen(config: HostConfig, stopping: threading.Event) -> threading.Thread:
    """Listen in a thread of its own, until told to stop; transfers under way then come to their end."""
    server = _bind(config)
    thread = threading.Thread(target=_accept, args=(server, stopping), daemon=True, name="files")
    thread.start()
    return thread


def _bind(config: HostConfig) -> socket.socket:
    """Only the gateway's group may connect."""
    config.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    path, fresh = config.run_dir / FILES_SOCKET, config.run_dir / f"{FILES_SOCKET}.new"
    fresh.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        server.bind(str(fresh))
    finally:
        os.umask(before)
    with suppress(KeyError):
        os.chown(fresh, 0, grp.getgrnam(config.gateway_group).gr_gid)
        fresh.chmod(0o660)
    server.listen(64)
    server.settimeout(LOOK_S)
    fresh.replace(path)
    return server


def _accept(server: socket.socket, stopping: threading.Event) -> None:
    running: list[subprocess.Popen[bytes]] = []
    while not stopping.is_set():
        running = [process for process in running if process.poll() is None]
        try:
            link, _ = server.accept()
        except TimeoutError:
            continue
        except OSError:
            log.exception("no connection about a home can be taken")
            stopping.wait(LOOK_S)
            continue
        with link:
            if len(running) < MOST:
                running.append(_serve(link))
    server.close()
    for process in running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)


def _serve(link: socket.socket) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-I", "-m", "controller.files"]
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        program, stdin=link.fileno(), stdout=nothing, stderr=nothing, start_new_session=True
    )

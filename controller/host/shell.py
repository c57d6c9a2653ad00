"""A shell's share of a container, and the wait until its SSH server answers with the home's own host key."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from typing import Any

from controller.host.attempt import Start, still_running
from controller.host.config import HostConfig
from controller.host.hostkeys import KEY_INSIDE, HostKey
from controller.host.instants import now_ms
from controller.host.names import SHELL_PORT
from controller.host.request import StartRequest
from controller.host.words import HostRefused

POLL_S = 0.01
ALIVE_EVERY = 20
ANYWHERE = "0.0.0.0"  # noqa: S104 (an operator's setting)
SCAN_S = 5


def published(config: HostConfig, request: StartRequest) -> dict[str, Any]:
    """The one port of a session that the host passes on."""
    at = [{"HostIp": config.ssh_bind, "HostPort": str(request.ssh_port)}]
    return {"PortBindings": {f"{SHELL_PORT}/tcp": at}}


def environment(request: StartRequest) -> list[str]:
    """What the SSH server inside is told: who may log in, and what a client calls it."""
    return [
        "AXONOS_KIND=ssh",
        f"AXONOS_SSH_KEYS={json.dumps(request.ssh_keys)}",
        f"AXONOS_SSH_AT={request.ssh_host} {request.ssh_port}",
    ]


def key_mount(key: HostKey) -> dict[str, Any]:
    """The home's host key, not to be changed from inside."""
    return {"Type": "bind", "Source": str(key.file), "Target": KEY_INSIDE, "ReadOnly": True}


def wait_answering(run: Start, deadline: float, key: HostKey) -> dict[str, int]:
    """Wait until a client would be welcomed: the port answers, and with this home's key.

    Args:
        run: the start.
        deadline: on the monotonic clock, in seconds.
        key: the home's.

    Returns:
        The container's start and the shell's readiness, in epoch milliseconds.

    Raises:
        HostRefused: no_answer, or stale_token if the slot was stopped meanwhile.
    """
    began, polls = time.monotonic(), 0
    at = "127.0.0.1" if run.config.ssh_bind == ANYWHERE else run.config.ssh_bind
    while not _greets(at, run.request.ssh_port):
        if polls % ALIVE_EVERY == 0:
            still_running(run, "no_answer", "the shell's server ended")
        if time.monotonic() > deadline:
            raise HostRefused("no_answer", f"no SSH server after {run.request.start_timeout_s} s")
        polls += 1
        time.sleep(POLL_S)
    run.stages["greets_ms"] = round((time.monotonic() - began) * 1000)
    found = _scan(at, run.request.ssh_port)
    if found != key.public:
        raise HostRefused("no_answer", f"port {run.request.ssh_port} answers with another key")
    run.stages["answers_ms"] = round((time.monotonic() - began) * 1000)
    ready_at_ms = now_ms()
    started = still_running(run, "no_answer", "the shell's server ended")
    return {"ready_at_ms": ready_at_ms, "started_at_ms": started}


def _greets(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            return connection.recv(8).startswith(b"SSH-2.0-")
    except OSError:
        return False


def _scan(address: str, port: int) -> str:
    """The ED25519 host key that answers, by a real client's key exchange; empty if none does."""
    done = subprocess.run(
        ["ssh-keyscan", "-T", str(SCAN_S), "-t", "ed25519", "-p", str(port), address],
        capture_output=True,
        text=True,
        timeout=2 * SCAN_S,
        check=False,
    )
    lines = [line.split(" ", 1)[1] for line in done.stdout.splitlines() if line[:1] not in ("", "#")]
    return lines[0] if lines else ""

"""One run in a fork of the warm server: becomes the `ansible-playbook` that its client stands for."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from typing import Any, NoReturn

from controller.adapters.warm import loaded, processes
from controller.adapters.warm.loaded import Loaded

MAX_REQUEST_BYTES = 8 << 20
CLIENT_PATIENCE_S = 10.0
STALE = 75
REFUSED = 76


def serve(connection: socket.socket, ready: Loaded) -> NoReturn:
    """Take the client's request, run its playbook, end with its status.

    Args:
        connection: to the client; nothing else of the server is open any more.
        ready: what the server loaded.
    """
    connection.settimeout(CLIENT_PATIENCE_S)
    try:
        request = _receive(connection)
        refusal = ready.objection(request["env"])
        if refusal:
            connection.sendall(b"R" + refusal.encode()[:200])
            os._exit(STALE if refusal == loaded.CHANGED else REFUSED)
        connection.sendall(b"S")
        if connection.recv(1) != b"G":  # it stopped waiting, and runs the playbook by itself
            os._exit(REFUSED)
    except (OSError, ValueError, KeyError):
        os._exit(REFUSED)
    processes.name_run(request["env"].get(processes.MARK, ""))
    connection.settimeout(None)
    status = _run(request)
    with contextlib.suppress(OSError):  # said here, so that a run outlives its server
        connection.sendall(status.to_bytes(2, "big"))
    os._exit(status)


def _receive(connection: socket.socket) -> dict[str, Any]:
    """The request; its three descriptors become this process's own."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    size = int.from_bytes(head, "big")
    if len(descriptors) != 3 or len(head) != 4 or size > MAX_REQUEST_BYTES:
        raise ValueError("not a request")
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        if descriptor > 2:
            os.close(descriptor)
    body = bytearray()
    while len(body) < size:
        part = connection.recv(min(1 << 20, size - len(body)))
        if not part:
            raise ValueError("half a request")
        body += part
    found: dict[str, Any] = json.loads(body)
    return found


def _run(request: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(request["env"])
    os.umask(request["umask"])
    os.chdir(request["cwd"])
    sys.argv = ["ansible-playbook", *request["argv"]]
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    temporary = _own_state()
    try:
        return _play()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # nobody reads any more
                stream.flush()


def _play() -> int:
    from ansible.cli.playbook import PlaybookCLI  # noqa: PLC0415 - loaded already, in the server

    try:
        PlaybookCLI.cli_executor(sys.argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _own_state() -> str:
    """What a fresh process would have of its own and a fork shares. Returns this run's temporary folder."""
    from ansible import constants  # noqa: PLC0415
    from ansible.utils import vars as ansible_vars  # noqa: PLC0415
    from ansible.utils.display import Display  # noqa: PLC0415

    ansible_vars.random_int = secrets.token_hex(4)  # part of the ids in events
    for name, module in list(sys.modules.items()):
        if name.endswith("awx_display") and hasattr(module, "event_context"):
            module.event_context.cache = module.IsolatedFileWrite()  # it remembers where events go
    constants.CACHE_PLUGIN_CONNECTION = os.environ.get("ANSIBLE_CACHE_PLUGIN_CONNECTION")
    Display()._set_column_width()  # noqa: SLF001 - the terminal is the client's
    parent = os.path.dirname(constants.DEFAULT_LOCAL_TMP)  # noqa: PTH120
    os.makedirs(parent, exist_ok=True, mode=0o700)  # noqa: PTH103
    constants.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(prefix=f"ansible-local-{os.getpid()}", dir=parent)
    return str(constants.DEFAULT_LOCAL_TMP)

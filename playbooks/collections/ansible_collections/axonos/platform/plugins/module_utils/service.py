"""What a service is, how to tell that it answers, and that the one running is the one wanted.

A running process carries the hash of its definition in its environment: comparing that with the wanted
one finds a service that still runs an older definition, whatever interrupted the last change.
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# A program that fails at its start does so within this time.
SETTLED_S = 1.5
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Service:
    """One program that has to run.

    `inputs` stands for what it reads at its start, such as its code; `restart` is set when a file that it
    read has just been mended.
    """

    name: str
    command: list[str] = field(default_factory=list)
    user: str = "root"
    group: str = ""
    directory: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    inputs: str = ""
    stop_signal: str = "TERM"
    stop_s: int = 20
    ready: str = ""
    ready_s: int = 30
    system_unit: str = ""
    restart: bool = False

    @classmethod
    def parse(cls, data: dict[str, Any], instance: str) -> Service:
        """From a task's arguments; numbers may have become text on the way."""
        values = {**data, "command": [str(word) for word in data.get("command", [])]}
        restart = str(values.pop("restart", False)).lower() == "true"
        values.update({key: int(data[key]) for key in ("stop_s", "ready_s") if key in data})
        digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
        marks = {"AXONOS_INSTANCE": instance, "AXONOS_SERVICE": data["name"], "AXONOS_INPUTS": digest}
        given = {key: str(value) for key, value in (data.get("environment") or {}).items()}
        return cls(**{**values, "environment": {"PATH": PATH, **given, **marks}}, restart=restart)

    @property
    def digest(self) -> str:
        return self.environment["AXONOS_INPUTS"]


def running_digest(pid: int) -> str | None:
    """Which definition the process was started with; None if it is gone."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    found = [word.split(b"=", 1)[1].decode() for word in words if word.startswith(b"AXONOS_INPUTS=")]
    return found[0] if found else ""


def answers(ready: str) -> bool:
    """Whether `tcp:PORT`, `unix:PATH` or `http:PORT/PATH` answers now; an empty text always does."""
    kind, _, where = ready.partition(":")
    try:
        if kind == "tcp":
            socket.create_connection(("127.0.0.1", int(where)), timeout=2).close()
        elif kind == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(2)
                probe.connect(where)
        elif kind == "http":
            return _http_ok(where)
    except OSError:
        return False
    return True


def _http_ok(where: str) -> bool:
    """Any status counts: a site whose database is stopped answers, and is not what has to be mended."""
    port, _, path = where.partition("/")
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as probe:
        probe.settimeout(5)
        probe.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
        return probe.recv(64).startswith(b"HTTP/1.")


def last_words(log: str) -> str:
    """The end of a log in one line, without repetitions: a program that fails says the same at each start."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return " | ".join(list(dict.fromkeys(lines))[-6:]) or "nothing"


def wait_until_ready(service: Service, alive: Any) -> bool:
    """Wait for the service to answer, for `ready_s` seconds at most.

    One that has nothing to answer with has to stay alive for a while instead.
    """
    until, since = time.monotonic() + service.ready_s, None
    while time.monotonic() < until:
        living = alive()
        since = (since or time.monotonic()) if living else None
        if living and (answers(service.ready) if service.ready else time.monotonic() > since + SETTLED_S):
            return True
        time.sleep(0.1)
    return False

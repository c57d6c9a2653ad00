"""Runs one process of the platform with its fault points wrapped: `crash_marked.py POST ENGINE KIND [ARGUMENT…]`.

A process that comes to a point says so on the bench's socket and goes on when it is told to; or it is told to
fail there, or it is killed while it waits. Where nobody listens it just goes on.
"""

from __future__ import annotations

import errno
import functools
import importlib
import io
import json
import os
import re
import runpy
import signal
import socket
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crash_points import POINTS, Point

KEYS = re.compile(r"0x[0-9a-f]{40}|s-[0-9a-f]{12}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SITE = [
    "-b",
    "127.0.0.1:{port}",
    "-w",
    "1",
    "-k",
    "gthread",
    "--threads",
    "12",
    "--worker-tmp-dir",
    "/dev/shm",
]
counts: Counter[str] = Counter()
asked = ""  # a host program's whole request: some of its steps are told no names


def main() -> None:
    post, engine, kind, *arguments = sys.argv[1:]
    for point in POINTS:
        if point.process == kind or kind == "host" == point.process:
            importlib.import_module(point.target.split(":")[0])
    if kind == "web":
        import controller.app
        import controller.services.sessions.facade  # noqa: F401
    if kind == "host":
        hear_request()
    targets = {point.target for point in POINTS if point.process == kind}
    for target in sorted(targets):
        wrap(post, target, [p for p in POINTS if p.target == target and p.process == kind])
    if kind in ("host", "guard"):
        from controller.host.engine import Engine

        Engine.__init__.__defaults__ = (engine,)
    run(kind, arguments)


def hear_request() -> None:
    global asked  # noqa: PLW0603 (one request, one process)
    data = sys.stdin.buffer.read()
    asked = data.decode(errors="replace")
    sys.stdin = io.TextIOWrapper(io.BytesIO(data))


def run(kind: str, arguments: list[str]) -> None:
    if kind == "web":
        from gunicorn.app.wsgiapp import WSGIApplication

        site = [word.format(port=arguments[0]) for word in SITE]
        sys.argv = ["gunicorn", *site, "--no-control-socket", "controller.app:wsgi()"]
        WSGIApplication("%(prog)s", prog="gunicorn").run()
        return
    sys.argv = [f"controller.{kind}", *arguments]
    runpy.run_module(f"controller.{kind}", run_name="__main__", alter_sys=False)


def wrap(post: str, target: str, points: list[Point]) -> None:
    """Replace a function wherever it is known by name; a method on its class."""
    module_name, _, path = target.partition(":")
    owner = sys.modules[module_name]
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args, **kwargs):
        counts[target] += 1
        count = counts[target]
        said = texts(args, kwargs.values())
        for point in points:
            if point.when == "before":
                report(post, point, count, said)
        result = original(*args, **kwargs)
        for point in points:
            if point.when == "after":
                report(post, point, count, said + texts([result]))
        return result

    setattr(owner, name, wrapped)
    for module in list(sys.modules.values()):
        for known, value in list(getattr(module, "__dict__", {}).items()):
            if value is original:
                setattr(module, known, wrapped)


def texts(*groups) -> str:
    found = []
    for group in groups:
        for value in group:
            try:
                found.append(repr(value))
            except Exception:  # noqa: BLE001 (a row that cannot show itself names nobody)
                continue
    return " ".join(found)


def report(post: str, point: Point, count: int, said: str) -> None:
    """Say where we are; wait for the word."""
    if point.process == "host" and count != point.nth:
        return
    line = {
        "point": point.name,
        "pid": os.getpid(),
        "keys": sorted(set(KEYS.findall(said + asked))),
        "text": playbook(said),
    }
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(post)
            connection.sendall(json.dumps(line).encode() + b"\n")
            word = connection.makefile().readline().strip()
    except OSError:
        return
    fail(word)


def playbook(said: str) -> str:
    return next((name for name in ("session_start", "session_stop") if name in said), "")


def fail(word: str) -> None:
    if word == "disk-full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if word in ("engine-refuses", "image-missing"):
        from controller.host.words import HostRefused

        code = "docker_error" if word == "engine-refuses" else "image_missing"
        raise HostRefused(code, "the bench says so")
    if word == "silent":
        signal.pause()  # whoever asked must give up by itself


if __name__ == "__main__":
    main()

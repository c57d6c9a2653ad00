"""The site as it runs: gunicorn with processes and threads, on a database and a chain of the bench's own."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from gunicorn.app.base import BaseApplication

from controller.settings import Settings

READY_S = 60


class Served(BaseApplication):  # type: ignore[misc]
    """gunicorn without its command line; each process makes its own ports after the fork."""

    def __init__(self, settings: Settings) -> None:
        self._made_of = settings
        super().__init__()

    def load_config(self) -> None:
        web = self._made_of.web
        given = {
            "bind": f"127.0.0.1:{web.port}",
            "workers": web.processes,
            "worker_class": "gthread",
            "threads": web.threads,
            "loglevel": "error",
            "keepalive": 30,
        }
        for name, value in given.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from controller.adapters.wiring import make_deps
        from controller.app import SWITCH_S, create_app

        sys.setswitchinterval(SWITCH_S)
        return create_app(make_deps(self._made_of))


def _serve(settings: Settings) -> None:
    Served(settings).run()


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The site's origin, while it is up."""
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(settings,))
    process.start()
    try:
        _wait(settings.web.origin)
        yield settings.web.origin
    finally:
        process.terminate()
        process.join(30)


def _wait(origin: str) -> None:
    end_s = time.monotonic() + READY_S
    while time.monotonic() < end_s:
        try:
            requests.get(f"{origin}/.well-known/x402", timeout=5)
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the site does not come up")

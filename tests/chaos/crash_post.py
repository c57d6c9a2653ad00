"""The bench's socket: processes that come to a fault point wait here for a word."""

from __future__ import annotations

import json
import socketserver
import threading
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 90


@dataclass
class Hit:
    """One process that stands at a fault point."""

    point: str
    pid: int
    keys: frozenset[str]
    playbook: str
    word: str = "go"
    told: threading.Event = field(default_factory=threading.Event)

    def tell(self, word: str) -> None:
        self.word = word
        self.told.set()


@dataclass
class Watch:
    """One armed point: the first process that comes to it for one of these keys, if any, is held."""

    point: str
    playbook: str
    keys: frozenset[str]
    hit: Hit | None = None


class Post:
    """Holds whoever comes to an armed point; lets everybody else go on at once."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Condition()
        self._watches: list[Watch] = []
        post = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    word = post.came(json.loads(self.rfile.readline()))
                    self.wfile.write(word.encode() + b"\n")
                except (OSError, ValueError):
                    pass

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        self._server.daemon_threads = True
        path.chmod(0o666)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def came(self, said: dict) -> str:
        hit = Hit(said["point"], said["pid"], frozenset(said["keys"]), said["text"])
        with self._lock:
            watch = next((w for w in self._watches if w.hit is None and _fits(w, hit)), None)
            if watch is None:
                return "go"
            watch.hit = hit
            self._lock.notify_all()
        hit.told.wait(PATIENCE_S)
        return hit.word

    def arm(self, watches: list[Watch]) -> None:
        with self._lock:
            self._watches = watches

    def wait(self, first_within_s: float, more_within_s: float) -> None:
        """Until all armed points were reached, or no further one was for a while."""
        with self._lock:
            reached, patience = 0, first_within_s
            while self._lock.wait_for(lambda past=reached: self._reached() > past, patience):
                reached, patience = self._reached(), more_within_s
                if reached == len(self._watches):
                    return

    def _reached(self) -> int:
        return sum(watch.hit is not None for watch in self._watches)

    def disarm(self, word: str = "go") -> None:
        """Nobody is held any more; whoever is, is told to go on."""
        with self._lock:
            for watch in self._watches:
                if watch.hit is not None and not watch.hit.told.is_set():
                    watch.hit.tell(word)
            self._watches = []

    def close(self) -> None:
        self.disarm()
        self._server.shutdown()
        self._server.server_close()


def _fits(watch: Watch, hit: Hit) -> bool:
    if watch.point != hit.point or (watch.playbook and hit.playbook and watch.playbook != hit.playbook):
        return False
    return not watch.keys or bool(watch.keys & hit.keys)

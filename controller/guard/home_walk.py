"""Counts homes that are plain folders by walking through them, a little at a time; nothing counts them else.

All hosts that share them share the work: who walks through a home holds its lock, and leaves the count beside
it for the others. What was deleted is taken away on the same walk. Links are never followed.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from controller.host import home_fence, home_tree
from controller.host.home_folder import DELETED
from controller.host.home_snapshots import PUT_AWAY
from controller.host.home_usage import WALLET

log = logging.getLogger("axonos.guard")
PACE = 5_000  # entries looked at in one step
AGAIN_MS = 600_000  # a count younger than this is good enough
BLOCK = 512  # what the kernel counts a file's blocks in


@dataclass(frozen=True)
class Count:
    """What a home takes up, and when the walk through it began, by the clock of the host that walked."""

    bytes: int
    at_ms: int


class HomeWalk:
    """The walk of one host, round after round."""

    def __init__(self, homes_dir: Path, now_ms: Callable[[], int], pace: int = PACE) -> None:
        """Args: where homes lie; the host's clock; how many entries a step looks at."""
        self._dir, self._now_ms, self._pace = homes_dir, now_ms, pace
        self._sizes: dict[str, int] = {}
        self._round: Iterator[None] = iter(())
        self._round_at_ms: int | None = None

    def step(self) -> dict[str, int]:
        """Walk on for a while.

        Returns:
            bytes by wallet of every home and put-away home, as counted last.
        """
        if next(self._round, ...) is ... and self._is_due():
            self._round_at_ms = self._now_ms()
            self._round = self._go_round()
        for _ in islice(self._round, self._pace):
            pass
        return dict(self._sizes)

    def _is_due(self) -> bool:
        return self._round_at_ms is None or self._is_old(self._round_at_ms)

    def _is_old(self, at_ms: int) -> bool:
        """Also where the clock was set back since."""
        return abs(self._now_ms() - at_ms) >= AGAIN_MS

    def _go_round(self) -> Iterator[None]:
        kept = self._dir / home_fence.FOLDER
        found = [*self._dir.iterdir(), *(kept.iterdir() if kept.is_dir() else ())]
        wallets = {path.name for path in found if WALLET.fullmatch(path.name)}
        self._sizes = {wallet: size for wallet, size in self._sizes.items() if wallet in wallets}
        for wallet in sorted(wallets):
            yield
            try:
                yield from self._look_at(wallet)
            except OSError as error:
                log.warning("the home of %s could not be walked through: %s", wallet, error)

    def _look_at(self, wallet: str) -> Iterator[None]:
        where = home_fence.folder(self._dir, wallet)
        where.parent.mkdir(mode=0o700, exist_ok=True)
        where.mkdir(mode=0o700, exist_ok=True)
        with _lock(where / "walk") as mine:
            leavings = [path for path in where.iterdir() if path.name.startswith(DELETED)] if mine else []
            for path in leavings:
                yield from home_tree.remove(path)
            known = _read(where)
            if mine and (known is None or self._is_old(known.at_ms)):
                known = yield from self._count(wallet, where)
        if known is not None and any(part.is_dir() for part in self._parts(wallet, where)):
            self._sizes[wallet] = known.bytes
        else:
            self._sizes.pop(wallet, None)

    def _count(self, wallet: str, where: Path) -> Generator[None, None, Count]:
        """What counts: a file once, however many names it has, by the room that it takes."""
        at_ms, seen, size = self._now_ms(), set[int](), 0
        for part in self._parts(wallet, where):
            for status in home_tree.entries(part):
                yield
                if status is not None and (status.st_nlink == 1 or status.st_ino not in seen):
                    size += status.st_blocks * BLOCK
                    seen.add(status.st_ino)
        found = Count(size, at_ms)
        new = where / "walked.new"
        new.write_text(json.dumps(asdict(found)))
        new.replace(where / "walked.json")
        return found

    def _parts(self, wallet: str, where: Path) -> tuple[Path, Path]:
        return self._dir / wallet, where / PUT_AWAY


def _read(where: Path) -> Count | None:
    with suppress(FileNotFoundError, ValueError, KeyError):
        said = json.loads((where / "walked.json").read_text())
        return Count(int(said["bytes"]), int(said["at_ms"]))
    return None


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether nobody else, on whatever host, walks through this home; then others are kept off."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mine = False
        else:
            mine = True
        yield mine
    finally:
        os.close(descriptor)

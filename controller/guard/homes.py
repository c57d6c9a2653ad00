"""Counts what homes take up, beside the guard's loop, and limits them to what the controller says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future

from controller.guard.home_walk import HomeWalk
from controller.guard.report import Quotas
from controller.host import home_snapshots, home_usage
from controller.host.config import HostConfig
from controller.host.instants import now_ms
from controller.host.words import HostRefused

log = logging.getLogger("axonos.guard")
EVERY_MS = 30_000


class Homes:
    """The homes of a host, counted every `EVERY_MS` and whenever somebody has changed one."""

    def __init__(self, config: HostConfig, since_boot: Callable[[], int], pool: Executor) -> None:
        """Args: the host; milliseconds since its boot; where it is done."""
        self._dir, self._since_boot, self._pool = config.homes_dir, since_boot, pool
        self._walk = HomeWalk(self._dir, now_ms)
        self._at_ms = 0
        self._count: Future[dict[str, int]] | None = None
        self._limits: Future[None] | None = None

    def counted(self) -> dict[str, int] | None:
        """Bytes by wallet, once for each count; None while there is nothing new."""
        if self._count is not None and self._count.done():
            count, self._count = self._count, None
            return _outcome(count)
        if self._count is None and self._since_boot() >= self._at_ms:
            self._at_ms = self._since_boot() + EVERY_MS
            self._count = self._pool.submit(self._measure)
        return None

    def limit(self, quotas: Quotas) -> None:
        """Limit all homes, unless the last time is still under way."""
        if self._limits is None or self._limits.done():
            self._limits = self._pool.submit(_limit, self, quotas)

    def set_quotas(self, quotas: Quotas) -> None:
        """Limit them now; a plain folder has no limit."""
        if self._dir.is_mount() and home_snapshots.is_btrfs(self._dir):
            home_usage.set_quotas(self._dir, quotas.default, quotas.others)

    def _measure(self) -> dict[str, int]:
        """By the file system's own count; plain folders by walking on through them."""
        if self._dir.is_mount() and not home_snapshots.is_btrfs(self._dir):
            return self._walk.step()
        return home_usage.measure(self._dir)


def _outcome(count: Future[dict[str, int]]) -> dict[str, int] | None:
    try:
        return count.result() or None
    except Exception:
        log.exception("homes could not be counted")
        return None


def _limit(homes: Homes, quotas: Quotas) -> None:
    try:
        homes.set_quotas(quotas)
    except (HostRefused, OSError) as refused:
        log.warning("homes could not be limited: %s", refused)

"""The server's clock: one that nobody can set.

A wall clock that is moved by a day, by hand or by a time server, must neither bill a day nor end a session.
So it is read once for each boot of a machine, and from then on the kernel's count of time since that boot is
added to it. Every process of the machine shares that one reading, in the table `clock_anchor`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from controller.services.ports import Database

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ANCHOR = text("INSERT INTO clock_anchor (boot_id, offset_ms) VALUES (:boot, :offset) ON CONFLICT DO NOTHING")
_READ = text("SELECT offset_ms FROM clock_anchor WHERE boot_id = :boot")


def wall_ms() -> int:
    """The machine's wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def since_boot_ms() -> int:
    """Milliseconds since the machine's start, sleep included; nobody can set it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class SystemClock:
    """The wall clock itself, for programs of a moment that have no database."""

    def now_ms(self) -> int:
        return wall_ms()


class SteadyClock:
    """Implements `ports.Clock`: milliseconds since the epoch that never jump while the machine is up."""

    def __init__(
        self,
        database: Database,
        *,
        boot_id: str | None = None,
        wall: Callable[[], int] = wall_ms,
        since_boot: Callable[[], int] = since_boot_ms,
    ) -> None:
        """Args: where the reading is kept; the rest is the machine's own unless a test says otherwise."""
        self._database, self._boot_id = database, boot_id or BOOT_ID.read_text().strip()
        self._wall, self._since_boot = wall, since_boot
        self._offset_ms: int | None = None

    def now_ms(self) -> int:
        """Now.

        Raises:
            DatabaseUnavailable: the first reading could not be looked up yet.
        """
        if self._offset_ms is None:
            self._offset_ms = self._anchor()
        return self._since_boot() + self._offset_ms

    def moved_ms(self) -> int:
        """How far the wall clock has been moved ahead (or back) since this machine's first reading."""
        return self._wall() - self.now_ms()

    def _anchor(self) -> int:
        with self._database.begin() as db:
            connection = db.connection()
            offset = self._wall() - self._since_boot()
            connection.execute(_ANCHOR, {"boot": self._boot_id, "offset": offset})
            return int(connection.execute(_READ, {"boot": self._boot_id}).scalar_one())

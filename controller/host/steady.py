"""A host's clock: the controller's time, as far as the host knows it, kept by a count that nobody can set.

Leases, proof of life and tickets are instants of the controller. A host whose wall clock is moved by a day
must neither stop every desktop nor bill one, so its programs add the kernel's time since boot to an offset in
a small file. The guard corrects that offset by every answer of the controller; the file goes with a reboot.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from controller.host.instants import now_ms as wall_ms

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def since_boot_ms() -> int:
    """Milliseconds since the machine's start, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class HostClock:
    """The controller's time on one host. Any process of the host may read it, its guard keeps it."""

    def __init__(
        self,
        run_dir: Path,
        wall: Callable[[], int] = wall_ms,
        since_boot: Callable[[], int] = since_boot_ms,
    ) -> None:
        """Args: the instance's run folder; tests bring their own clocks."""
        self._file = run_dir / "clock.json"
        self._wall, self.since_boot = wall, since_boot
        self._boot_id = BOOT_ID.read_text().strip()

    def now_ms(self) -> int:
        """The controller's time; the wall clock until the guard has written the file."""
        offset = self._read()
        return self._wall() if offset is None else self.since_boot() + offset

    def keep(self) -> None:
        """Begin with the wall clock, unless this boot's file is there already."""
        if self._read() is None:
            self._write(self._wall() - self.since_boot())

    def correct(self, controller_ms: int, sent_ms: int, heard_ms: int) -> None:
        """Take over what the controller's clock said in an answer.

        Args:
            controller_ms: its clock while it answered.
            sent_ms: time since boot when it was asked.
            heard_ms: the same when the answer was there.
        """
        offset = self._read()
        earliest, latest = controller_ms - heard_ms, controller_ms - sent_ms
        # Between the two nobody can tell; the earliest never claims life that was not seen.
        if offset is None or not earliest <= offset <= latest:
            self._write(earliest)

    def _read(self) -> int | None:
        try:
            said = json.loads(self._file.read_text())
            return int(said["offset_ms"]) if said["boot_id"] == self._boot_id else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, offset_ms: int) -> None:
        new = self._file.with_suffix(".new")
        self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new.write_text(json.dumps({"boot_id": self._boot_id, "offset_ms": offset_ms}))
        new.chmod(0o644)
        new.replace(self._file)

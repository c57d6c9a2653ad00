"""A desktop that waits for somebody: painted in a home that is nobody's, then taken to the home that comes.

The claim is the home's mount: nothing else is told. Programs that find in it what they have read already go
on as they are; the others are started anew, before anybody can look.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import settings_read  # type: ignore[import-not-found]

LOOK_S = 0.004
QUIET_S, NOISY_S = 1.0, 8.0
SETTINGS, PANEL = ".config/xfce4", ".config/xfce4/panel"


class Waiting:
    """One wait, from a painted desktop in a nameless home to the same desktop in somebody's."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._device = home.stat().st_dev
        self._read: dict[str, object] = {}
        self._files: dict[str, bytes] = {}

    def settle(self) -> None:
        """Wait until nothing is written any more: what programs put off would reach the next home."""
        until, quiet_since, before = time.monotonic() + NOISY_S, time.monotonic(), _shape(self._home)
        while time.monotonic() < min(until, quiet_since + QUIET_S):
            time.sleep(0.1)
            now = _shape(self._home)
            if now != before:
                before, quiet_since = now, time.monotonic()

    def remember(self) -> None:
        """Keep what the programs have read and written; this home goes away."""
        self._read = settings_read.read(self._home)
        for folder, _, names in os.walk(self._home / SETTINGS):
            for name in names:
                path = Path(folder, name)
                self._files[str(path.relative_to(self._home))] = path.read_bytes()

    def until_claimed(self) -> None:
        """Wait until a home has been mounted in the place of this one; frozen nearly all the time."""
        while True:
            try:
                if self._home.stat().st_dev != self._device:
                    return
            except OSError:
                pass
            time.sleep(LOOK_S)

    def differing(self) -> set[str]:
        """Programs that have to be started anew in the home that has come."""
        return set(settings_read.differing(self._read, settings_read.read(self._home)))

    def carry_over(self) -> None:
        """Write into the home what a start in it would have written: settings that it lacks."""
        arranged = (self._home / PANEL).exists()  # a person's own launchers are not mixed with ours
        for name, content in self._files.items():
            if arranged and name.startswith(PANEL):
                continue
            target = self._home / name
            try:
                target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                with target.open("xb") as file:
                    file.write(content)
            except OSError:
                continue  # it has its own, or something in its way; a start leaves that alone too


def _shape(home: Path) -> list[tuple[str, int, int]]:
    found = []
    for folder, _, names in os.walk(home):
        for name in names:
            try:
                status = Path(folder, name).lstat()
            except OSError:
                continue
            found.append((name, status.st_size, status.st_mtime_ns))
    return sorted(found)

"""Runs inside a desktop's container, from stdin: what the menu shows, and whether each entry opens a window.

One JSON object per entry on stdout. It uses the image's own Python and X11 client only.
"""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, "/usr/libexec/axonos")
from x11 import Display  # type: ignore[import-not-found]

FOLDERS = [Path("/usr/local/share/applications"), Path("/usr/share/applications")]
LIMIT_S = 40
DESKTOP = "XFCE"
_SEND_EVENT, _CLIENT_MESSAGE, _SUBSTRUCTURE = 25, 33, 0x180000


class Probe(Display):  # type: ignore[misc]
    """A display on which windows can be closed."""

    def close_window(self, window: int) -> None:
        """Ask the window manager to close a window."""
        message = struct.pack(
            "<BBHII", _CLIENT_MESSAGE, 32, 0, window, self.atom("_NET_CLOSE_WINDOW")
        ) + bytes(20)
        body = struct.pack("<II", self.screen.root, _SUBSTRUCTURE) + message
        self._socket.sendall(struct.pack("<BBH", _SEND_EVENT, 0, 1 + len(body) // 4) + body)


def menu_entries() -> dict[str, Any]:
    """The entries that the application menu shows, by desktop id (Desktop Entry Specification)."""
    found: dict[str, Any] = {}
    for folder in FOLDERS:
        for file in sorted(folder.glob("*.desktop")):
            if file.name not in found:
                parser = configparser.ConfigParser(interpolation=None, strict=False)
                parser.optionxform = str  # type: ignore[assignment, method-assign]
                parser.read(file)
                found[file.name] = parser["Desktop Entry"]
    return {name: entry for name, entry in found.items() if shown(entry)}


def shown(entry: Any) -> bool:
    """Whether a desktop entry has a place in the menu."""
    only, never = entry.get("OnlyShowIn", ""), entry.get("NotShowIn", "")
    return (
        entry.get("Type", "Application") == "Application"
        and entry.get("NoDisplay", "false").lower() != "true"
        and entry.get("Hidden", "false").lower() != "true"
        and (not only or DESKTOP in only.split(";"))
        and DESKTOP not in never.split(";")
    )


def command_of(entry: Any) -> list[str]:
    """The program to start, without the field codes that stand for files."""
    words = [word for word in shlex.split(entry["Exec"]) if not word.startswith("%")]
    return ["xfce4-terminal", "-x", *words] if entry.get("Terminal", "false").lower() == "true" else words


def processes() -> set[int]:
    """Everything that runs in the container."""
    return {int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()}


def try_entry(display: Probe, entry: Any) -> dict[str, Any]:
    """Start one entry, wait for its window, close it and end what it started."""
    windows, before, begin = set(display.windows()), processes(), time.monotonic()
    subprocess.Popen(
        command_of(entry),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    new: set[int] = set()
    while not new and time.monotonic() - begin < LIMIT_S:
        time.sleep(0.05)
        new = set(display.windows()) - windows
    result = {"ok": bool(new), "ms": round((time.monotonic() - begin) * 1000)}
    if new:
        time.sleep(0.3)
        result["title"] = display.title(new.pop())
    clean(display, windows, before)
    return result


def clean(display: Probe, windows: set[int], before: set[int]) -> None:
    """Back to how it was: new windows closed, new processes ended."""
    for window in set(display.windows()) - windows:
        display.close_window(window)
    time.sleep(0.2)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes() - before - {os.getpid()}:
            try:
                os.kill(pid, number)
            except OSError:
                continue
        time.sleep(0.4)


def main() -> None:
    """Try every entry of the menu."""
    display = Probe()
    for name, entry in menu_entries().items():
        result = try_entry(display, entry)
        sys.stdout.write(json.dumps({"entry": name, "name": entry["Name"], **result}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

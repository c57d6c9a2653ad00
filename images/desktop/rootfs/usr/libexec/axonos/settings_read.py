"""What each program of the desktop has read of a home, so that two homes can be told apart by it.

A home that lacks something equals one in which that is as the programs made it: they would make it so.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from xml.etree import ElementTree as ET

Content = bytes | str | tuple[object, ...] | None
ALL = frozenset({"panel", "desktop", "windows", "settings"})
CHANNELS_FOLDER = ".config/xfce4/xfconf/xfce-perchannel-xml"
CHANNELS = {
    "xfce4-panel": {"panel"},
    "xfce4-desktop": {"desktop"},
    "xfwm4": {"windows"},
    "xfce4-keyboard-shortcuts": {"windows", "settings"},
    "xsettings": {"settings"},
    "keyboards": {"settings"},
    "keyboard-layout": {"settings"},
    "displays": {"settings"},
    "pointers": {"settings"},
    "accessibility": {"settings"},
}
FILES: dict[str, frozenset[str] | set[str]] = {
    ".config/xfce4/panel": {"panel"},
    ".config/menus": {"panel", "desktop"},
    ".local/share/applications": {"panel"},
    ".local/share/desktop-directories": {"panel"},
    ".config/xfce4/desktop": {"desktop"},
    ".config/xfce4/xfwm4": {"windows"},
    **dict.fromkeys(
        (".config/gtk-3.0/gtk.css", ".config/gtk-3.0/settings.ini", ".gtkrc-2.0", ".config/dconf"), ALL
    ),
    **dict.fromkeys((".config/fontconfig", ".fonts.conf", ".Xresources"), ALL),
    **dict.fromkeys((".themes", ".icons", ".fonts"), ALL),
    **dict.fromkeys((".local/share/themes", ".local/share/icons", ".local/share/fonts"), ALL),
}
MAX_FILES, MAX_BYTES = 400, 1 << 20


def differing(before: dict[str, Content], after: dict[str, Content]) -> set[str]:
    """The programs for which the homes that were read as `before` and `after` are not the same."""
    found: set[str] = set()
    for name, programs in (CHANNELS | FILES).items():
        if after[name] is not None and after[name] != before[name]:
            found |= programs
    return found


def read(home: Path) -> dict[str, Content]:
    """Everything of a home that the running programs depend on; None for what is not there."""
    channels = {name: _channel(home / CHANNELS_FOLDER / f"{name}.xml") for name in CHANNELS}
    return channels | {name: _tree(home / name) for name in FILES}


def _channel(file: Path) -> Content:
    """A channel of xfconf. The order in which it was written down means nothing."""
    data = _bytes(file)
    if data is None:
        return None
    try:
        return _property(ET.fromstring(data))  # noqa: S314 (in its owner's own container)
    except ET.ParseError:
        return data


def _property(node: ET.Element) -> tuple[object, ...]:
    parts = [_property(child) for child in node]
    if node.tag != "property" or node.get("type") != "array":
        parts.sort(key=repr)
    return (node.tag, tuple(sorted(node.attrib.items())), tuple(parts))


def _tree(top: Path) -> Content:
    """All files below a folder, or one file; never through a link, and never endlessly."""
    found: list[tuple[str, Content]] = []
    total = 0
    waiting = [top]
    while waiting:
        path = waiting.pop()
        content = _bytes(path)
        if content is None and path.is_dir() and not path.is_symlink():
            waiting += path.iterdir()
            continue
        if content is None and not path.is_symlink():
            continue
        found.append((str(path), content if content is not None else str(path.readlink())))
        total += len(content or b"")
        if len(found) > MAX_FILES or total > MAX_BYTES:
            return (object(),)  # equal to nothing else
    return tuple(sorted(found, key=repr)) or None


def _bytes(file: Path) -> bytes | None:
    """A regular file's content; None for anything else, whatever stands at this path."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)

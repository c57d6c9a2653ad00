"""A desktop that waits: which programs have to start again for a home, and what is written into it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from test_image_session_painting import load

PANEL = """<?xml version="1.0"?><channel name="xfce4-panel" version="1.0">
<property name="plugins" type="empty">{}</property></channel>"""
ONE = '<property name="plugin-1" type="string" value="clock"/>'
TWO = '<property name="plugin-2" type="string" value="tasklist"/>'
CHANNELS = ".config/xfce4/xfconf/xfce-perchannel-xml"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "settings_read", raising=False)
    return load("settings_read")


@pytest.fixture
def waiting(read: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.delitem(sys.modules, "waiting", raising=False)
    return load("waiting")


def home(folder: Path, **files: str) -> Path:
    """A home; `__` in a name is a slash, `panel` the panel's channel."""
    for name, text in files.items():
        path = folder / (f"{CHANNELS}/xfce4-panel.xml" if name == "panel" else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder.mkdir(exist_ok=True)
    return folder


def differing(read: ModuleType, before: Path, after: Path) -> set[str]:
    """Programs that must start again, with both homes read at the same place, as they are inside."""
    place = before.parent / "place"
    found = []
    for one in (before, after):
        one.rename(place)
        found.append(read.read(place))
        place.rename(one)
    return set(read.differing(*found))


def test_an_empty_home_needs_nothing_anew(read: ModuleType, tmp_path: Path) -> None:
    before = home(tmp_path / "a", panel=PANEL.format(ONE))
    assert differing(read, before, home(tmp_path / "b")) == set()


def test_the_order_of_properties_means_nothing(read: ModuleType, tmp_path: Path) -> None:
    before = home(tmp_path / "a", panel=PANEL.format(ONE + TWO))
    assert differing(read, before, home(tmp_path / "b", panel=PANEL.format(TWO + ONE))) == set()


def test_the_order_of_an_array_does(read: ModuleType, tmp_path: Path) -> None:
    array = '<property name="ids" type="array"><value type="int" value="{}"/><value type="int" value="{}"/></property>'
    before = home(tmp_path / "a", panel=PANEL.format(array.format(1, 2)))
    after = home(tmp_path / "b", panel=PANEL.format(array.format(2, 1)))
    assert differing(read, before, after) == {"panel"}


@pytest.mark.parametrize(
    ("name", "programs"),
    [
        (".config/xfce4/panel/whiskermenu-1.rc", {"panel"}),
        (".local/share/applications/mine.desktop", {"panel"}),
        (f"{CHANNELS}/xfce4-desktop.xml", {"desktop"}),
        (f"{CHANNELS}/keyboard-layout.xml", {"settings"}),
        (f"{CHANNELS}/xfce4-keyboard-shortcuts.xml", {"windows", "settings"}),
        (f"{CHANNELS}/xfwm4.xml", {"windows"}),
        (".config/gtk-3.0/gtk.css", {"panel", "desktop", "windows", "settings"}),
        (".themes/Mine/index.theme", {"panel", "desktop", "windows", "settings"}),
        (".config/gtk-3.0/bookmarks", set()),
        (f"{CHANNELS}/thunar.xml", set()),
        (".bashrc", set()),
    ],
)
def test_each_setting_concerns_its_programs(
    read: ModuleType, tmp_path: Path, name: str, programs: set[str]
) -> None:
    before = home(tmp_path / "a")
    assert differing(read, before, home(tmp_path / "b", **{name: "<channel/>"})) == programs


def test_whatever_stands_in_a_home_is_read_without_harm(read: ModuleType, tmp_path: Path) -> None:
    """Links, pipes, broken XML and endless folders: different, never an error, never followed."""
    strange = home(tmp_path / "b", panel="<not xml")
    (strange / ".icons").symlink_to("/")
    os.mkfifo(strange / ".gtkrc-2.0")
    many = strange / ".fonts"
    many.mkdir()
    for number in range(read.MAX_FILES + 2):
        (many / str(number)).touch()
    before = home(tmp_path / "a")
    assert differing(read, before, strange) == {"panel", "desktop", "windows", "settings"}
    assert read.read(strange)[".gtkrc-2.0"] is None
    assert read.differing(read.read(strange), read.read(strange)), "too much to compare is never equal"


def test_a_home_gets_what_it_lacks_and_keeps_what_it_has(waiting: ModuleType, tmp_path: Path) -> None:
    here = home(
        tmp_path / "here", panel=PANEL.format(ONE), **{".config/xfce4/panel/launcher-3/x.desktop": "ours"}
    )
    desktop = waiting.Waiting(here)
    desktop.remember()
    here.rename(tmp_path / "away")
    home(here, **{f"{CHANNELS}/xfwm4.xml": "theirs"})
    desktop.carry_over()
    assert (here / CHANNELS / "xfwm4.xml").read_text() == "theirs"
    assert (here / CHANNELS / "xfce4-panel.xml").read_text() == PANEL.format(ONE)
    assert (here / ".config/xfce4/panel/launcher-3/x.desktop").read_text() == "ours"


def test_launchers_of_their_own_are_not_mixed_with_ours(waiting: ModuleType, tmp_path: Path) -> None:
    here = home(tmp_path / "here", **{".config/xfce4/panel/launcher-3/x.desktop": "ours"})
    desktop = waiting.Waiting(here)
    desktop.remember()
    here.rename(tmp_path / "away")
    home(here, **{".config/xfce4/panel/launcher-9/y.desktop": "theirs"})
    desktop.carry_over()
    assert [file.name for file in here.rglob("*.desktop")] == ["y.desktop"]


def test_a_link_in_the_way_is_left_alone(waiting: ModuleType, tmp_path: Path) -> None:
    here = home(tmp_path / "here", panel=PANEL.format(ONE))
    desktop = waiting.Waiting(here)
    desktop.remember()
    here.rename(tmp_path / "away")
    here.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("kept")
    target = here / CHANNELS / "xfce4-panel.xml"
    target.parent.mkdir(parents=True)
    target.symlink_to(victim)
    desktop.carry_over()
    assert victim.read_text() == "kept"

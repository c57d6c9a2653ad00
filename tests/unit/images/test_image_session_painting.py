"""The session's own judge of "painted": an X server that shows nothing, half, and everything."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from images.desktop.layer import ROOTFS

LIBEXEC = ROOTFS / "usr/libexec/axonos"
WIDTH, HEIGHT = 1280, 800


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, LIBEXEC / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Screen:
    """What the fake X server shows: a colour for every point."""

    width, height = WIDTH, HEIGHT

    def __init__(self) -> None:
        self.colour: Callable[[int, int], int] = lambda _x, _y: 0
        self.screen = self

    def pixels(self, x: int, y: int, width: int, height: int) -> bytes:
        points = ((i, j) for j in range(y, y + height) for i in range(x, x + width))
        return b"".join(self.colour(i, j).to_bytes(4, "little") for i, j in points)

    def close(self) -> None:
        pass


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> tuple[Screen, object]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("x11", "painted"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    load("x11")
    painted = load("painted")
    screen = Screen()
    monkeypatch.setattr(painted, "Display", lambda: screen)
    return screen, painted.Painting()


def test_an_empty_screen_is_not_painted(looking) -> None:
    _, painting = looking
    assert not painting.complete()
    assert painting.done() == []


def test_a_panel_of_one_colour_is_not_drawn(looking) -> None:
    screen, painting = looking
    screen.colour = lambda x, y: 0x222222 if y < 36 else x + y
    assert not painting.complete()
    assert painting.done() == ["wallpaper"]


def test_parts_are_told_as_they_come(looking) -> None:
    screen, painting = looking
    screen.colour = lambda x, y: x * 37 + y if x < 200 and y < 36 else 0
    assert not painting.complete()
    assert painting.done() == ["panel_left"]
    screen.colour = lambda x, y: x + y
    assert painting.complete()
    assert painting.done() == ["panel_left", "panel_right", "wallpaper"]


def test_a_panel_whose_menu_button_is_missing_is_not_painted(looking) -> None:
    screen, painting = looking
    screen.colour = lambda x, y: 0x222222 if y < 36 and x < 17 else x + y
    assert not painting.complete()
    assert painting.done() == ["panel_right", "wallpaper"]


def test_a_rearranged_desktop_shows_at_least_something(looking) -> None:
    screen, painting = looking
    assert not painting.anything()
    screen.colour = lambda x, y: x if y > HEIGHT - 40 else 0x101010
    assert not painting.complete()
    assert painting.anything()

"""Whether the desktop is really painted, judged by pixels: both ends of the panel, and the wallpaper."""

from __future__ import annotations

from x11 import Display  # type: ignore[import-not-found]

# Left, only the menu button's picture reaches so far out; right are clock and power button.
PANEL_HEIGHT, LEFT_WIDTH, RIGHT_WIDTH = 30, 16, 200
PANEL_COLOURS, WALLPAPER_COLOURS = 12, 4
_SAMPLES = 24
PARTS = ("panel_left", "panel_right", "wallpaper")


class Painting:
    """Looks at the screen, and remembers which parts have been painted."""

    def __init__(self) -> None:
        self._display = Display()
        self.missing = list(PARTS)

    def done(self) -> list[str]:
        """The parts painted so far."""
        return [part for part in PARTS if part not in self.missing]

    def complete(self) -> bool:
        """Look once; true when every part has been painted."""
        screen = self._display.screen
        if "panel_left" in self.missing and self._end_painted(0, LEFT_WIDTH):
            self.missing.remove("panel_left")
        if "panel_right" in self.missing and self._end_painted(screen.width - RIGHT_WIDTH, RIGHT_WIDTH):
            self.missing.remove("panel_right")
        if "wallpaper" in self.missing and self._wallpaper_painted():
            self.missing.remove("wallpaper")
        return not self.missing

    def close(self) -> None:
        """Stop looking."""
        self._display.close()

    def anything(self) -> bool:
        """Whether the screen shows something at all, whatever it is: users rearrange their desktops."""
        screen = self._display.screen
        return colours(self._display.pixels(0, 0, screen.width, screen.height)) > PANEL_COLOURS

    def _end_painted(self, x: int, width: int) -> bool:
        return colours(self._display.pixels(x, 0, width, PANEL_HEIGHT)) > PANEL_COLOURS

    def _wallpaper_painted(self) -> bool:
        """A column down the middle: an empty screen has one colour, the wallpaper many."""
        screen = self._display.screen
        column = self._display.pixels(
            screen.width // 2, PANEL_HEIGHT * 2, 1, screen.height - PANEL_HEIGHT * 3
        )
        step = max(1, len(column) // 4 // _SAMPLES) * 4
        return len({column[at : at + 3] for at in range(0, len(column), step)}) > WALLPAPER_COLOURS


def colours(pixels: bytes) -> int:
    """How many colours there are among four-byte pixels."""
    return len(set(memoryview(pixels).cast("I")))

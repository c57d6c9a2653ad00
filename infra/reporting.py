"""How long-running steps tell their progress: one line at a time, to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str], None]


def silent(_line: str) -> None:
    """Nobody is listening."""

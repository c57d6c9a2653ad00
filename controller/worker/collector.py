"""When Python looks for garbage in cycles."""

from __future__ import annotations

import gc

NEW_OBJECTS = 100_000


def calm() -> None:
    """Look seldom, and never through what was there at the start.

    A tick of ten thousand sessions makes objects by the hundred thousand, none of them in cycles: looking
    through them every 700 was a tenth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)

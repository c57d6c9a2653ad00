"""Instants on a host: epoch milliseconds, from the wall clock and from the engine's texts."""

from __future__ import annotations

import time
from datetime import datetime


def now_ms() -> int:
    """The host's wall clock."""
    return time.time_ns() // 1_000_000


def parse_instant_ms(text: str) -> int | None:
    """An instant of the engine (RFC 3339, up to nine decimals); None for its "never", the year 1."""
    if not text or text.startswith("0001-"):
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    second = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return second * 1000 + int((fraction + "000")[:3])

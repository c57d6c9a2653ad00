"""Which of several tabs works at a desktop, in one browser or on several devices. Pure.

One works, the others are asked: take it over, or only look. A tab that says nothing of itself (a program)
is never in anybody's way.
"""

from __future__ import annotations

import re

MAX_TAB = 36
PRESENT_BEATS = 3  # so many missed heartbeats, and a tab is thought gone
_TAB = re.compile(r"[0-9A-Za-z-]{1,36}")


def is_tab(text: str) -> bool:
    """Whether a tab may call itself so."""
    return _TAB.fullmatch(text) is not None


def overtaken(shown_by: str, tab: str) -> bool:
    """Whether another tab has the desktop, so that this one must not work, close or count as presence."""
    return bool(tab) and shown_by not in ("", tab)


def must_ask(shown_by: str, tab: str, seen_at_ms: int | None, now_ms: int, heartbeat_ms: int) -> bool:
    """Whether a tab that comes must ask first: another has the desktop and was heard of lately.

    Args:
        shown_by: the tab that has it, empty for none.
        tab: the one that comes.
        seen_at_ms: last presence of the session, by the server's clock.
        now_ms: the server's clock.
        heartbeat_ms: how often a tab is heard of.
    """
    if not overtaken(shown_by, tab) or seen_at_ms is None:
        return False
    return now_ms - seen_at_ms <= PRESENT_BEATS * heartbeat_ms

"""Silences one complaint: Pulumi's SDK drops the program's coroutine when the engine stops before it.

Python then reports, at some later collection of garbage, that the coroutine could not be closed without its
event loop. The operation's own error has been told by then; everything else still reaches the former hook.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

_DROPPED = frozenset({"run_in_stack", "run_pulumi_func"})


def expect() -> None:
    """From now on, say nothing about programs the engine abandoned. Calling it again changes nothing."""
    current = sys.unraisablehook
    if not (isinstance(current, partial) and current.func is _hook):
        sys.unraisablehook = partial(_hook, current)


def _hook(former: Any, unraisable: Any) -> None:
    if getattr(unraisable.object, "__name__", "") not in _DROPPED:
        former(unraisable)

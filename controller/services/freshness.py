"""Answers of slow reads, kept for a moment, so that many who ask cost no more reads than one.

For what anybody may ask, such as today's price: however many requests come, each process reads once per
`life_ms`, one thread at a time; the others get the last answer, or wait a little for the first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from controller.services.ports import Clock

T = TypeVar("T")

WAIT_S = 2.0


class Fresh(Generic[T]):
    """Answers by key. A read that raises is not kept; its error is the caller's."""

    def __init__(self, clock: Clock, life_ms: int, *, most: int = 1_024) -> None:
        """Args: the clock; how long an answer counts as fresh; how many keys are kept."""
        self._clock = clock
        self._life_ms = life_ms
        self._most = most
        self._kept: dict[str, tuple[int, T]] = {}
        self._reading: set[str] = set()
        self._changed = threading.Condition()

    def get(self, key: str, read: Callable[[], T], otherwise: T) -> T:
        """The answer for a key, read anew where it is older than its life.

        Args:
            key: what is asked.
            read: asks; runs outside every lock, in this thread.
            otherwise: given where another thread is reading the very first answer and takes too long.
        """
        with self._changed:
            kept = self._kept.get(key)
            if kept is not None and 0 <= self._clock.now_ms() - kept[0] < self._life_ms:
                return kept[1]
            if key in self._reading:
                if kept is None and self._changed.wait_for(lambda: key not in self._reading, WAIT_S):
                    kept = self._kept.get(key)
                return kept[1] if kept is not None else otherwise
            self._reading.add(key)
        try:
            value = read()
        except BaseException:
            self._done(key)
            raise
        self._done(key, value)
        return value

    def _done(self, key: str, *values: T) -> None:
        with self._changed:
            self._reading.discard(key)
            for value in values:
                self._kept.pop(key, None)
                self._kept[key] = (self._clock.now_ms(), value)
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
            self._changed.notify_all()

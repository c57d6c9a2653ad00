"""Free GPUs over time: of one host as a step function, and of all hosts as a board to plan on.

A board remembers for each host the first instant at which a number of GPUs is free at all, so that most
hosts are passed over with one comparison.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from types import MappingProxyType

NEVER = 1 << 62


class Timeline:
    """`free[i]` GPUs from `times[i]` to `times[i + 1]`; the last step has no end. `times[0]` is now."""

    __slots__ = ("free", "times")

    def __init__(self, times: list[int], free: list[int]) -> None:
        self.times, self.free = times, free

    @classmethod
    def of(cls, now: int, gpus: int, taken: Iterable[tuple[int, int]]) -> Timeline:
        """A host of which some GPUs are taken now: (until when, how many). What is past counts as free."""
        ahead = sorted(one for one in taken if one[0] > now)
        left = gpus - sum(count for _, count in ahead)
        times, free = [now], [left]
        for until, count in ahead:
            left += count
            if times[-1] == until:
                free[-1] = left
            else:
                times.append(until)
                free.append(left)
        return cls(times, free)

    def copy(self) -> Timeline:
        return Timeline(self.times[:], self.free[:])

    def earliest(self, gpus: int, length: int = 0, before: int = NEVER) -> int | None:
        """The first instant from which `gpus` stay free for `length`; None if it is not before `before`."""
        times, last = self.times, len(self.times) - 1
        start = -1
        for i, count in enumerate(self.free):
            if count < gpus:
                start = -1
                continue
            if start < 0:
                start = times[i]
                if start >= before:
                    return None
            if i == last or times[i + 1] - start >= length:
                return start
        return None

    def room(self, start: int, gpus: int) -> int:
        """Until when `gpus` stay free from `start` on; `start` itself where they are not free then."""
        times, free = self.times, self.free
        for i in range(max(bisect_right(times, start) - 1, 0), len(times)):
            if free[i] < gpus:
                return max(times[i], start)
        return NEVER

    def take(self, start: int, length: int, gpus: int) -> None:
        """Take `gpus` during [start, start + length); a negative number gives them back."""
        first, last = self._step_at(start), self._step_at(start + length)
        for i in range(first, last):
            self.free[i] -= gpus

    def close(self, until: int) -> None:
        """Nothing is free before `until`."""
        for i in range(self._step_at(until)):
            self.free[i] = 0

    def _step_at(self, at: int) -> int:
        """The index of the step that begins at `at`, made where there is none."""
        i = bisect_left(self.times, at)
        if i == len(self.times) or self.times[i] != at:
            self.times.insert(i, at)
            self.free.insert(i, self.free[i - 1])
        return i


class Board:
    """The timelines of all hosts."""

    __slots__ = ("_first", "hosts")

    def __init__(self, hosts: dict[str, Timeline], first: dict[int, dict[str, int]] | None = None) -> None:
        self.hosts = hosts
        self._first = first or {}  # GPUs -> host -> the first instant so many are free there

    def copy(self) -> Board:
        first = {gpus: dict(instants) for gpus, instants in self._first.items()}
        return Board({name: line.copy() for name, line in self.hosts.items()}, first)

    def earliest(
        self, gpus: int, length: int, latest: int, shut: Mapping[str, int] = MappingProxyType({})
    ) -> tuple[str, int] | None:
        """Host and instant of the earliest room of that length, not after `latest`; None if there is none.

        `shut` says of some hosts before which instant they must not be taken.
        """
        first = self._first.get(gpus)
        if first is None:
            first = self._first[gpus] = {n: _first(line, gpus) for n, line in self.hosts.items()}
        best, found = latest + 1, None
        for name, instant in first.items():
            if instant >= best:
                continue
            line = self.hosts[name]
            if name in shut:
                line = line.copy()
                line.close(shut[name])
            start = line.earliest(gpus, length, best)
            if start is not None:
                best, found = start, name
        return None if found is None else (found, best)

    def free_now(self, host: str) -> int:
        """How many GPUs of a host are free at this instant."""
        return self.hosts[host].free[0]

    def room(self, host: str, start: int, gpus: int) -> int:
        """Until when `gpus` of a host stay free from `start` on."""
        return self.hosts[host].room(start, gpus)

    def take(self, host: str, start: int, length: int, gpus: int) -> None:
        """Take GPUs of a host for a while."""
        line = self.hosts[host]
        line.take(start, length, gpus)
        for count, first in self._first.items():
            if start <= first[host] < start + length:
                first[host] = _first(line, count)

    def give(self, host: str, start: int, length: int, gpus: int) -> None:
        """Give them back."""
        line = self.hosts[host]
        line.take(start, length, -gpus)
        for count, first in self._first.items():
            if start < first[host]:
                first[host] = _first(line, count)

    def close(self, host: str, until: int) -> None:
        """Nobody gets anything of a host before `until`."""
        self.hosts[host].close(until)
        for count, first in self._first.items():
            first[host] = _first(self.hosts[host], count)


def _first(line: Timeline, gpus: int) -> int:
    found = line.earliest(gpus)
    return NEVER if found is None else found

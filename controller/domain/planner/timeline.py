"""Free GPUs over time: of one host as a step function, and of all hosts as a board to plan on.

A board remembers for each host the first instant at which a number of GPUs is free at all, and its hosts in
that order, so that most of them are never looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
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

    def earliest(self, gpus: int, length: int = 0, before: int = NEVER, since: int = 0) -> int | None:
        """The first instant from which `gpus` stay free for `length`; None if it is not before `before`.

        `since` spares a look at what lies before it, where so many are known not to be free.
        """
        times, free = self.times, self.free
        last = len(times) - 1
        start = -1
        for i in range(bisect_left(times, since), last + 1):
            if free[i] < gpus:
                start = -1
                continue
            if start < 0:
                start = times[i]
                if start >= before:
                    return None
            if i == last or times[i + 1] - start >= length:
                return start
        return None

    def freed(self, gpus: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """How many GPUs are missing now to `gpus`, and after how many ms how many more become free."""
        times, free = self.times, self.free
        steps = ((times[i] - times[0], free[i] - free[i - 1]) for i in range(1, len(times)))
        return gpus - free[0], tuple((after, more) for after, more in steps if more > 0)

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

    def close(self, since: int, until: int) -> None:
        """Nothing is free during [since, until)."""
        if since >= until:
            return
        for i in range(self._step_at(since), self._step_at(until)):
            self.free[i] = 0

    def _step_at(self, at: int) -> int:
        """The index of the step that begins at `at`, made where there is none."""
        i = bisect_left(self.times, at)
        if i == len(self.times) or self.times[i] != at:
            self.times.insert(i, at)
            self.free.insert(i, self.free[i - 1])
        return i


class _Firsts:
    """When so many GPUs are free at all on each host, and the hosts in that order."""

    __slots__ = ("instants", "order")

    def __init__(self, instants: list[int], order: list[tuple[int, int]]) -> None:
        self.instants, self.order = instants, order

    @classmethod
    def of(cls, lines: Iterable[Timeline], gpus: int) -> _Firsts:
        instants = [_first(line, gpus) for line in lines]
        return cls(instants, sorted((instant, place) for place, instant in enumerate(instants)))

    def copy(self) -> _Firsts:
        return _Firsts(self.instants[:], self.order[:])

    def put(self, place: int, instant: int) -> None:
        before = self.instants[place]
        if before != instant:
            del self.order[bisect_left(self.order, (before, place))]
            insort(self.order, (instant, place))
            self.instants[place] = instant


class Board:
    """The timelines of all hosts."""

    __slots__ = ("_firsts", "_names", "_places", "hosts")

    def __init__(self, hosts: dict[str, Timeline], firsts: dict[int, _Firsts] | None = None) -> None:
        self.hosts = hosts
        self._names = list(hosts)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._firsts = firsts or {}  # by a number of GPUs

    def copy(self) -> Board:
        firsts = {gpus: firsts.copy() for gpus, firsts in self._firsts.items()}
        return Board({name: line.copy() for name, line in self.hosts.items()}, firsts)

    def earliest(
        self, gpus: int, length: int, latest: int, shut: Mapping[str, int] = MappingProxyType({})
    ) -> tuple[str, int] | None:
        """Host and instant of the earliest room of that length, not after `latest`; None if there is none.

        Of several hosts with room at that instant it is the first. `shut` says of some hosts before which
        instant they must not be taken.
        """
        firsts = self._firsts.get(gpus)
        if firsts is None:
            firsts = self._firsts[gpus] = _Firsts.of(self.hosts.values(), gpus)
        best, found = latest + 1, -1
        for instant, place in firsts.order:
            if instant > best or instant == NEVER:
                break
            name, before = self._names[place], best + (place < found)
            if shut.get(name, 0) >= before:
                continue
            start = self._line(name, shut.get(name, 0)).earliest(gpus, length, before, instant)
            if start is not None:
                best, found = start, place
        return None if found < 0 else (self._names[found], best)

    def earliest_of_each(
        self, gpus: int, length: int, latest: int, shut: Mapping[str, int]
    ) -> Iterator[tuple[str, int]]:
        """As `earliest`, of every host that has such room."""
        for name in self._names:
            if shut.get(name, 0) > latest:
                continue
            start = self._line(name, shut.get(name, 0)).earliest(gpus, length, latest + 1)
            if start is not None:
                yield name, start

    def _line(self, name: str, shut: int) -> Timeline:
        """A host's timeline, with nothing free before `shut`."""
        line = self.hosts[name]
        if shut:
            line = line.copy()
            line.close(line.times[0], shut)
        return line

    def free_now(self, host: str) -> int:
        """How many GPUs of a host are free at this instant."""
        return self.hosts[host].free[0]

    def most_free(self) -> int:
        """How many GPUs the emptiest host has free at this instant."""
        return max((line.free[0] for line in self.hosts.values()), default=0)

    def room(self, host: str, start: int, gpus: int) -> int:
        """Until when `gpus` of a host stay free from `start` on."""
        return self.hosts[host].room(start, gpus)

    def take(self, host: str, start: int, length: int, gpus: int) -> None:
        """Take GPUs of a host for a while."""
        line, place = self.hosts[host], self._places[host]
        line.take(start, length, gpus)
        for count, firsts in self._firsts.items():
            before = firsts.instants[place]
            if start <= before < start + length:
                firsts.put(place, _first(line, count, before))

    def give(self, host: str, start: int, length: int, gpus: int) -> None:
        """Give them back."""
        line, place = self.hosts[host], self._places[host]
        line.take(start, length, -gpus)
        for count, firsts in self._firsts.items():
            if start < firsts.instants[place]:
                firsts.put(place, _first(line, count))

    def close(self, host: str, since: int, until: int) -> None:
        """Nobody gets anything of a host during [since, until)."""
        self.hosts[host].close(since, until)
        for count, firsts in self._firsts.items():
            firsts.put(self._places[host], _first(self.hosts[host], count))


def _first(line: Timeline, gpus: int, since: int = 0) -> int:
    found = line.earliest(gpus, since=since)
    return NEVER if found is None else found

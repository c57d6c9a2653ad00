"""`axonos bench move`: a home of which a hundredth changed is resumed on the other host; kills in mid-move.

Every byte between the hosts since the change counts, the replica that is sent back afterwards included.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.bench import move_place
from controller.bench.figures import Outcome
from controller.bench.move_place import WALLET, Place
from controller.errors import AxonosError

PLAYBOOK = "home_move.yml"
PER_MILLE = 10
LIMIT_S = 600
VICTIMS = ("home-send", "home-receive", "btrfs\0send", "btrfs\0receive")


@dataclass
class Measure:
    """The home's way between two places. `play` is a provisioner's `run`."""

    places: tuple[Place, Place]
    play: Callable[..., Any]
    told: Callable[[str], None]
    seed: int
    generation: int = 0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    lost: int = 0
    sent: int = 0

    @property
    def here(self) -> Place:
        """Where the home is."""
        return self.places[self.generation % 2]

    @property
    def there(self) -> Place:
        """Where it goes next."""
        return self.places[(self.generation + 1) % 2]

    def replicate(self) -> None:
        """A replica for the other host, as after a session."""
        self._must(self._carry(f"r{next(self.numbers)}", close=False))

    def resume(self) -> float:
        """Bring the home to the other host and open it there; seconds, and what is lost is counted."""
        before = move_place.digests(self.here.home)
        began = time.monotonic()
        self._must(self._carry(f"g{self.generation + 1}", close=True))
        self.generation += 1
        self.here.open(self.generation, f"g{self.generation}")
        took_s = time.monotonic() - began
        self.lost += move_place.bytes_lost(before, self.here.home)
        return took_s

    def resume_killed(self, source: random.Random) -> bool:
        """The same, one process of it killed and the run done again. Whether the kill came in time."""
        before = move_place.digests(self.here.home)
        killer = _Killer(self.here.state.parent, source.choice(VICTIMS), source.uniform(0, 0.25))
        first = self._carry(f"g{self.generation + 1}", close=True)
        killer.end()
        self.lost += move_place.bytes_lost(before, self.here.home)
        if not first.succeeded:
            self._must(self._carry(f"g{self.generation + 1}", close=True))
        self.generation += 1
        self.here.open(self.generation, f"g{self.generation}")
        self.lost += move_place.bytes_lost(before, self.here.home)
        return killer.killed

    def change(self) -> None:
        """A session's work."""
        move_place.change(self.here.home, PER_MILLE, self.seed + next(self.numbers))

    def _carry(self, name: str, *, close: bool) -> Any:
        asked = {"instance": self.here.config.instance, "home": WALLET, "name": name}
        outcome = self.play(
            run_id=next(self.numbers),
            playbook=PLAYBOOK,
            host={**self.there.host(), "source": self.here.host()},
            variables={
                "session_request": {**asked, "close": close, "generation": self.generation + 1},
                "home_source": self.here.name,
            },
            on_event=lambda _: None,
            timeout_s=LIMIT_S,
        )
        self.sent += int(outcome.result.get("bytes_sent") or 0)
        return outcome

    def _must(self, outcome: Any) -> None:
        if not outcome.succeeded:
            raise AxonosError(f"the home was not moved: {outcome.error_code} {outcome.result.get('message')}")


class _Killer(threading.Thread):
    """Kills one process of a move, some time after it has begun; only one of this benchmark's folder."""

    def __init__(self, folder: Path, victim: str, delay_s: float) -> None:
        super().__init__(daemon=True)
        self._folder, self._victim, self._delay_s = str(folder).encode(), victim.encode(), delay_s
        self._over = threading.Event()
        self.killed = False
        self.start()

    def run(self) -> None:
        found: list[int] = []
        while not found and not self._over.wait(0.005):
            found = self._processes()
        self._over.wait(self._delay_s)
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                self.killed = True

    def end(self) -> None:
        self._over.set()
        self.join()

    def _processes(self) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = path.read_bytes()
                if self._victim in words and self._folder in words:
                    found.append(int(path.parent.name))
        return found


def run(measure: Measure, *, size_mib: int, rounds: int, kills: int) -> Outcome:
    """Measure.

    Args:
        measure: two places, the second one empty.
        size_mib: the home's size.
        rounds: moves with a replica from before the change, and as many with one from after it.
        kills: moves of which a process is killed.
    """
    measure.here.open(0, "")
    move_place.fill(measure.here.home, size_mib, measure.seed)
    whole = size_mib * 1024 * 1024
    first_s = measure.resume()
    first_bytes = measure.sent
    measure.told(f"first move, no replica anywhere: {first_s:.1f} s")
    seconds, shares = {"old": [0.0], "new": [0.0]}, {"old": [0.0], "new": [0.0]}
    for _, kind in itertools.product(range(rounds), ("old", "new")):
        measure.replicate()
        measure.change()
        measure.sent = 0
        if kind == "new":
            measure.replicate()
        seconds[kind].append(measure.resume())
        measure.replicate()
        shares[kind].append(100 * measure.sent / whole)
        measure.told(f"replica {kind}: {seconds[kind][-1]:.2f} s, {shares[kind][-1]:.2f} %")
    source = random.Random(measure.seed)  # noqa: S311
    hit = 0
    for number in range(kills):
        measure.change()
        hit += measure.resume_killed(source)
        measure.told(f"kill {number + 1} of {kills}: {measure.lost} bytes lost")
    figures: dict[str, Any] = {
        "seconds": round(max(seconds["old"] + seconds["new"]), 2),
        "seconds_replica_from_after": round(max(seconds["new"]), 2),
        "bytes_sent_percent": round(max(shares["old"] + shares["new"]), 3),
        "bytes_sent": round(max(shares["old"] + shares["new"]) * whole / 100),
        "first_seconds": round(first_s, 2),
        "first_bytes_percent": round(100 * first_bytes / whole, 2),
        "kills": hit,
        "bytes_lost": measure.lost,
    }
    return Outcome(
        name="move",
        figures=figures,
        goals={
            "seconds": ("<=", 5.0),
            "bytes_sent_percent": ("<=", 3.0),
            "first_bytes_percent": ("<=", 103.0),
            "bytes_lost": ("==", 0),
        },
        how=f"A home of {size_mib} MiB of pseudo-random files, 1 % of its blocks written anew; {rounds} times"
        " from a replica of before the change and as often from one of after it, through home_move.yml and"
        " ansible-runner between two btrfs volumes of this machine; worst of all. Bytes count the replica of"
        " after the change and the one sent back; `first` is a home that no other host had ever seen."
        f" {kills} more moves with one process killed at a random moment and the run done again",
    )

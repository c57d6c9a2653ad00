"""Runs several actors in one order that a seed decides, one step at a time, so that a failing order replays.

Actors are threads that hold a baton in turn. Each stops before every question to a node and every statement
to the database (`step`); who goes on is drawn from the seed. An actor that would wait for a lock is put
aside (`wait_for_locks`) until somebody ends a transaction, so nothing ever waits for real time.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["kill", "cut", "cut after"]
LOST_AFTER_S = 120.0
DONE, READY, LOCKED, IDLE = "done", "ready", "locked", "idle"


class Killed(BaseException):
    """The actor's process stops here; nothing of it runs on."""


class Deadlock(Exception):
    """Every actor waits for a lock that another one holds; this one is the victim."""


@dataclass(frozen=True)
class Planned:
    """A fault: what happens to whom, at the how-manieth of its steps."""

    actor: str
    at_step: int
    fault: Fault


@dataclass
class Actor:
    """One thread of the run. `dead` while its process is being taken down."""

    name: str
    run: Callable[[], None]
    state: str = READY
    steps: int = 0
    dead: bool = False
    victim: bool = False
    error: BaseException | None = None
    at: str = "start"
    go: threading.Lock = field(default_factory=threading.Lock)  # held while it is not this actor's turn

    def __post_init__(self) -> None:
        self.go.acquire()


class Scheduler:
    """One run: who takes part, in which order, and what that order was."""

    def __init__(self, seed: str, plan: Sequence[Planned] = ()) -> None:
        """Args: decides the order, all of it; faults to happen on the way."""
        self._rng = random.Random(seed)
        self._plan = {(p.actor, p.at_step): p.fault for p in plan}
        self._pick = self._rng.choice([self._any, self._bursts, self._by_rank])
        self._ranks: dict[str, float] = {}
        self._last: Actor | None = None
        self._local = threading.local()
        self._over = threading.Event()
        self._turns = 0
        self.actors: list[Actor] = []
        self.order: list[str] = []
        self.faults: list[str] = []

    def add(self, name: str, run: Callable[[], None]) -> None:
        """Let somebody take part."""
        self.actors.append(Actor(name, run))
        self._ranks[name] = self._rng.random()

    def run(self) -> None:
        """Run all actors to their ends; the first error of one of them is raised."""
        for actor in self.actors:
            threading.Thread(target=self._live, args=(actor,), name=actor.name, daemon=True).start()
        self._next().go.release()
        seen = -1
        while not self._over.wait(LOST_AFTER_S):
            if self._turns == seen and self._last:
                raise RuntimeError(f"{self._last.name} does not come back from {self._last.at}")
            seen = self._turns
        for actor in self.actors:
            if actor.error is not None:
                raise actor.error

    def _next(self) -> Actor:
        """Whose turn it is; called by whoever has the baton."""
        living = [a for a in self.actors if a.state != DONE]
        ready = [a for a in living if a.state == READY] or self._unstick(living)
        self._last = self._pick(ready)
        self._turns += 1
        return self._last

    def _unstick(self, living: list[Actor]) -> list[Actor]:
        """Nobody can go on: a deadlock if somebody waits for locks, else it is time to look again."""
        locked = [a for a in living if a.state == LOCKED]
        for actor in locked[:1] or living:
            actor.state, actor.victim = READY, bool(locked)
        return locked[:1] or living

    def _any(self, ready: list[Actor]) -> Actor:
        return self._rng.choice(ready)

    def _bursts(self, ready: list[Actor]) -> Actor:
        if self._last in ready and self._rng.random() < 0.9:
            return self._last
        return self._rng.choice(ready)

    def _by_rank(self, ready: list[Actor]) -> Actor:
        chosen = max(ready, key=lambda a: self._ranks[a.name])
        if self._rng.random() < 0.02:
            self._ranks[chosen.name] = -self._rng.random()
        return chosen

    def _live(self, actor: Actor) -> None:
        self._local.actor = actor
        actor.go.acquire()
        try:
            actor.run()
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            actor.error = error
        finally:
            actor.state = DONE
            self.released()
            if all(a.state == DONE for a in self.actors):
                self._over.set()
            else:
                self._next().go.release()

    def _me(self) -> Actor | None:
        actor: Actor | None = getattr(self._local, "actor", None)
        return None if actor is None or actor.dead else actor

    def _wait(self, actor: Actor, state: str) -> None:
        actor.state = state
        following = self._next()
        if following is not actor:
            following.go.release()
            actor.go.acquire()
        actor.state = READY

    def step(self, label: str) -> Fault | None:
        """Wait for one's turn to do what `label` says; outside of a run nothing is waited for.

        Returns:
            a fault that happens now, which the caller acts out; `Killed` is raised for a kill.
        """
        actor = self._me()
        if actor is None:
            return None
        actor.at, actor.steps = label, actor.steps + 1
        self._wait(actor, READY)
        self.order.append(f"{actor.name}: {label}")
        fault = self._plan.pop((actor.name, actor.steps), None)
        if fault:
            self.faults.append(f"{actor.name} {fault} at {label}")
        return fault

    def die(self) -> None:
        """The calling actor's process ends: what runs on of it takes no more part in the order."""
        actor = self._me()
        if actor is not None:
            actor.dead = True

    def born_again(self) -> None:
        """The calling actor's process was started again."""
        actor: Actor = self._local.actor
        actor.dead = False

    def wait_for_locks(self) -> bool:
        """Step aside until somebody releases locks.

        Raises:
            Deadlock: nobody ever will.
        """
        actor = self._me()
        if actor is None:
            return False
        self._wait(actor, LOCKED)
        if actor.victim:
            actor.victim = False
            raise Deadlock(actor.at)
        return True

    def idle(self) -> None:
        """There is nothing to do until something happens on the chain."""
        actor = self._me()
        if actor is not None:
            self._wait(actor, IDLE)

    def released(self) -> None:
        """Somebody's transaction ended: whoever waits for locks may try again."""
        self._wake(LOCKED)

    def stir(self) -> None:
        """Something happened on the chain."""
        self._wake(IDLE)

    def _wake(self, state: str) -> None:
        for actor in self.actors:
            if actor.state == state:
                actor.state = READY

    @property
    def order_hash(self) -> str:
        """What two runs share only if they took the same steps in the same order."""
        return hashlib.sha256("\n".join(self.order).encode()).hexdigest()

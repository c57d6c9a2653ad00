"""Drives production's meter through the stories: hosts report, clocks step, processes die, connections break.

Only the instants at which things truly happened are written down, for the oracle; nothing of a bill is.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from fakes import make_deps, make_settings
from sqlalchemy import event, text

from controller.adapters.clock import SteadyClock
from controller.adapters.database import PostgresDatabase
from controller.errors import DatabaseUnavailable, NotYours, WrongState
from controller.models import GpuSession, Host, Slot, Wallet
from controller.services.deps import Deps
from controller.services.money import ledger, metering
from controller.services.ports import RunOutcome
from controller.services.reports import guard_reports, reconcile
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work
from controller.services.sessions import expiry
from controller.services.sessions import facade as sessions
from meter.hosts import GuardedHost, Machine
from meter.oracle import NEVER, Happened, Truth, merged
from meter.stories import BEGAN_MS, DAY, HOUR, MINUTE, Act, Story

LEASE_MS, SLACK_MS = 15 * MINUTE, 10_000
STRANGER = "0x" + "5e" * 20
PROFILES = {1: "small", 2: "medium", 4: "large", 8: "max"}
STEPS = {"attach": sessions.attach, "detach": sessions.detach, "close": sessions.close, "end": sessions.end}


class Killed(Exception):
    """The process is gone at this statement."""


class Mortal:
    """A database whose process dies at its n-th statement or commit from now."""

    def __init__(self, real: PostgresDatabase, left: int) -> None:
        self._real, self._left = real, left

    @contextmanager
    def begin(self) -> Iterator[Any]:
        def count(*_: Any) -> None:
            self._left -= 1
            if self._left < 0:
                raise Killed

        engine = self._real.engine
        event.listen(engine, "before_cursor_execute", count)
        event.listen(engine, "commit", count)
        try:
            with self._real.begin() as db:
                yield db
        finally:
            event.remove(engine, "before_cursor_execute", count)
            event.remove(engine, "commit", count)


@dataclass
class Counts:
    """What was done to the platform on the way."""

    clock_steps: int = 0
    kills: int = 0
    cuts: int = 0
    restarts: int = 0
    acts: int = 0


class World:
    """A platform with simulated time; `play` brings it to the end of the stories."""

    def __init__(self, url: str, stories: list[Story], seed: int) -> None:
        """Args: a migrated database; what happens; the seed of all faults."""
        self.true_ms, self._rng, self.counts = BEGAN_MS, random.Random(seed), Counts()
        self._database, self._dsn = PostgresDatabase(url), url.replace("+psycopg", "")
        self._machine = Machine(lambda: self.true_ms, 77_000)
        self._stories = stories
        self._happened = {
            s.number: Happened(s.session, s.wallet, s.gpus, BEGAN_MS + s.ready_ms, s.balance_gpu_ms)
            for s in stories
        }
        self._looks: list[int] = []
        self._dead: dict[int, int] = {}
        self._by_slot = {s.slot: s for s in stories}
        self._folder = tempfile.TemporaryDirectory(prefix="axmeter-")
        folder = Path(self._folder.name)
        names = sorted({s.host for s in stories})
        self._hosts = [
            GuardedHost(f"host-{n}", Machine(lambda: self.true_ms, 1_000 * n), folder) for n in names
        ]
        self.deps = self.new_process()
        self._open()

    def close(self) -> None:
        self._database.engine.dispose()
        self._folder.cleanup()

    def play(self, length_ms: int, step_ms: int, told: Callable[[str], None]) -> None:
        """Live the day, in steps of about `step_ms`."""
        acts = sorted((at, s.number, verb, amount) for s in self._stories for at, verb, amount in s.acts)
        ready = sorted(self._stories, key=lambda s: s.ready_ms)
        done = begun = said = 0
        now = 0
        while now < length_ms:
            now = min(length_ms, now + self._rng.randrange(step_ms // 2, step_ms * 3 // 2))
            fresh = [s for s in ready[begun:] if s.ready_ms <= now]
            begun += len(fresh)
            self.start(fresh)
            while done < len(acts) and acts[done][0] <= now:
                at, number, verb, amount = acts[done]
                self._act(self._stories[number], (at, verb, amount))
                done += 1
            self.true_ms = BEGAN_MS + now
            self._trouble()
            self._step()
            if now * 20 // length_ms > said:
                said = now * 20 // length_ms
                told(f"{now / HOUR:5.1f} h, {self.counts}")
        self._step()

    def truths(self) -> list[Truth]:
        """Every session as it really went."""
        found = []
        for story in self._stories:
            told = self._happened[story.number]
            dies = NEVER if story.dies_ms is None else BEGAN_MS + story.dies_ms
            dead = min(dies, self._dead.get(story.number, NEVER))
            found.append(Truth(merged(told, self._hosts[story.host].proofs, self._looks, dead)).follow())
        return found

    # -- the platform's own work ---------------------------------------------------------------------------

    def wall_ms(self) -> int:
        """What the controller's wall clock shows."""
        return self._machine.wall()

    def reports(self) -> None:
        """Every host that is not silent reports."""
        for host in self._hosts:
            if host.silent_until <= self.true_ms:
                self._report(host)

    def _step(self) -> None:
        self.reports()
        self._survive(metering.tick)
        self._look()
        self._lose_silent()
        self._survive(reconcile.reconcile)
        self._work()

    def _lose_silent(self) -> None:
        """What stood on hosts whose leases have run out unheard is over, as the platform is about to find."""
        for host in self._hosts:
            for slot, story in host.slots.items():
                if host.leases[slot] + SLACK_MS < self.true_ms:
                    self._dead_since(story, host.stops_at(story))
                    self._note(story, "lost")

    def _dead_since(self, story: Story, at_ms: int) -> None:
        self._dead[story.number] = min(at_ms, self._dead.get(story.number, at_ms))

    def _report(self, host: GuardedHost) -> None:
        """The guard looks, and a moment later its report arrives."""
        arrives = self.true_ms
        self.true_ms -= self._rng.randrange(0, 1_500)
        clock, looked = host.clock(), self.true_ms
        clock.keep()
        at_ms, slots, lost = clock.now_ms(), [], []
        for slot, story in host.slots.items():
            dead = host.stops_at(story) <= looked
            lost += [story] if dead else []
            seen = {"slot": slot, "container_id": f"c-{slot}", "started_at_ms": self._began(story)}
            slots.append({**seen, "state": "exited" if dead else "running"})
        self.true_ms = arrives
        asked = host.machine.since_boot()
        body = {"host": host.name, "boot_id": "b", "at_ms": at_ms, "slots": slots}
        answer = self._survive(lambda deps: guard_reports.report(deps, body))
        clock.correct(answer["now_ms"], asked, host.machine.since_boot())
        host.proofs.append(looked)
        for story in lost:
            self._dead_since(story, host.stops_at(story))
            del host.slots[story.slot]
            self._note(story, "missing")
        host.leases.update((lease["slot"], lease["until_ms"]) for lease in answer["leases"])

    def _look(self) -> None:
        self._survive(expiry.expire)
        self._looks.append(self.true_ms)

    def _work(self) -> None:
        """Every stop that is due."""
        while taken := runs.take(self.deps, "bench"):
            self._survive(lambda deps, taken=taken: run_work.work(deps, self, taken))

    def run(self, *, playbook: str, variables: dict[str, Any], **_: Any) -> RunOutcome:
        """Implements `ports.Provisioner`: stops containers, and says when one was alive last."""
        asked = variables["session_request"]
        if playbook != runs.STOP:
            return RunOutcome(False, {"ok": False}, "host_unreachable")  # probes: its guard is proof enough
        story = self._by_slot[asked["slot"]]
        host = self._hosts[story.host]
        dead = host.stops_at(story) <= self.true_ms
        gone = host.silent_until >= NEVER
        alive = host.slots.pop(story.slot, None) is not None and not dead and not gone
        self._happened[story.number].events.append((self.true_ms, "stopped", int(alive)))
        stopped = self.deps.clock.now_ms() if alive else None
        return RunOutcome(True, {"ok": True, "changed": alive, "stopped_at_ms": stopped, "gpu_checks": {}})

    # -- people --------------------------------------------------------------------------------------------

    def _act(self, story: Story, act: Act) -> None:
        at, verb, amount = act
        self.true_ms = BEGAN_MS + at
        self.counts.acts += 1
        if verb in ("credit", "gift"):
            self._survive(lambda deps: self._credit(deps, story, act))
        else:
            for _ in range(self._rng.choice((1, 1, 1, 2))):
                self._survive(lambda deps: _asked(deps, story.wallet, story.session, verb))
        if self._rng.random() < 0.02:
            self._survive(
                lambda deps: _asked(deps, STRANGER, story.session, self._rng.choice(("end", "close")))
            )
        self._note(story, verb, amount)

    def _credit(self, deps: Deps, story: Story, act: Act) -> None:
        at, verb, amount = act
        kind = "deposit" if verb == "credit" else "grant"
        key = f"bench:{story.number}:{at}:{amount}"
        paid = ledger.Posting(key, kind, "issued:eth", f"user:{story.wallet}", amount)
        with deps.database.begin() as db:
            ledger.post(db, at_ms=deps.clock.now_ms(), transfers=[paid])
        expiry.resume_paid(deps, story.wallet)

    def _note(self, story: Story, verb: str, amount: int = 0) -> None:
        self._happened[story.number].events.append((self.true_ms, verb, amount))

    # -- trouble -------------------------------------------------------------------------------------------

    def _trouble(self) -> None:
        """Before a step: clocks are set, processes restarted, connections cut, hosts fall silent."""
        rng = self._rng
        if rng.random() < 0.10:
            self._machine.skew_ms = rng.choice((0, DAY, -DAY, 7 * MINUTE))
            self.counts.clock_steps += 1
        if rng.random() < 0.25:
            rng.choice(self._hosts).machine.skew_ms = rng.choice((0, DAY, -DAY, -3 * MINUTE))
            self.counts.clock_steps += 1
        if rng.random() < 0.15:
            self.deps = self.new_process()
            self.counts.restarts += 1
        if rng.random() < 0.05:
            self._cut()
        host = rng.choice(self._hosts)
        if rng.random() < 0.05 and host.silent_until <= self.true_ms:
            host.silent_until = self.true_ms + rng.randrange(10 * MINUTE)
        elif rng.random() < 0.002:
            host.silent_until = NEVER  # it never comes back

    def _cut(self) -> None:
        """What a restarted PostgreSQL does to everybody."""
        with psycopg.connect(self._dsn, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        self.counts.cuts += 1

    def _survive(self, act: Callable[[Deps], Any]) -> Any:
        """Do it; sometimes the process is killed on the way, and another one does it again."""
        if self._rng.random() < 0.004:
            mortal: Any = Mortal(self._database, self._rng.randrange(0, 25))
            with suppress(Killed):
                act(replace(self.deps, database=mortal))
            self.counts.kills += 1
            self.deps = self.new_process()
        for _ in range(3):
            with suppress(DatabaseUnavailable):
                return act(self.deps)
        return act(self.deps)

    def new_process(self) -> Deps:
        machine = self._machine
        clock = SteadyClock(self._database, boot_id="bench", wall=machine.wall, since_boot=machine.since_boot)
        return replace(make_deps(self._database, settings=make_settings()), clock=clock)

    # -- the stage -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        self.deps.clock.now_ms()
        with self._database.begin() as db:
            for host in self._hosts:
                where = {"address": "127.0.0.1", "connection": "local", "gateway_url": "ws://localhost"}
                db.add(Host(name=host.name, state="ready", simulated=True, **where))
            db.add_all([Wallet(address=s.wallet, created_at_ms=BEGAN_MS) for s in self._stories])
            first = [
                ledger.Posting(
                    f"bench:{s.number}", "deposit", "issued:eth", f"user:{s.wallet}", s.balance_gpu_ms
                )
                for s in self._stories
            ]
            ledger.post(db, at_ms=BEGAN_MS, transfers=first)
        with self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.execute(text("ANALYZE"))
        for host in self._hosts:
            self._report(host)

    def start(self, stories: list[Story]) -> None:
        """Desktops that became ready: as a start run would have left them."""
        with self._database.begin() as db:
            db.add_all([self._slot(s) for s in stories])
            db.flush()
            db.add_all([_running(s) for s in stories])
        for story in stories:
            host = self._hosts[story.host]
            host.slots[story.slot] = story
            host.leases[story.slot] = self._lease_until(story)

    def _lease_until(self, story: Story) -> int:
        return BEGAN_MS + story.ready_ms + LEASE_MS

    def _slot(self, story: Story) -> Slot:
        ready = BEGAN_MS + story.ready_ms
        return Slot(
            id=story.slot,
            host=self._hosts[story.host].name,
            state="up",
            subnet_index=story.number // len(self._hosts),
            config_digest="",
            container_id=f"c-{story.slot}",
            lease_until_ms=self._lease_until(story),
            created_at_ms=ready - 2_000,
            started_at_ms=self._began(story),
            last_alive_ms=ready,
        )

    def _began(self, story: Story) -> int:
        return BEGAN_MS + story.ready_ms - 1_000


def _asked(deps: Deps, wallet: str, session: str, verb: str) -> None:
    """One request of a page; late, repeated and foreign ones are refused or change nothing."""
    with suppress(WrongState, NotYours):
        if verb == "beat":
            sessions.heartbeat(deps, wallet, session)
        else:
            STEPS[verb](deps, wallet, session)


def _running(story: Story) -> GpuSession:
    ready = BEGAN_MS + story.ready_ms
    return GpuSession(
        id=story.session,
        wallet=story.wallet,
        profile=PROFILES[story.gpus],
        gpus=story.gpus,
        state="running",
        slot_id=story.slot,
        claimed_at_ms=ready - 3_000,
        starting_at_ms=ready - 3_000,
        ready_at_ms=ready,
        billed_to_ms=ready,
        seen_at_ms=ready,
        opened_at_ms=ready,
    )

"""Any order of clicks, runs, reports, crashes and clock: no GPU twice, none free early, no bill without proof.

A state machine on a real database with hosts in memory. What a host really did is remembered here, outside
of the platform; after each step it is compared with what the platform believes.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from session_kit import MINUTE, FakeProvisioner, Platform, make_platform
from sqlalchemy import text

from controller.domain.placement import PATIENCE_MS
from controller.errors import AxonosError
from controller.services.hosts import registry as hosts
from controller.services.money import metering
from controller.services.ports import RunOutcome
from controller.services.queue import placing
from controller.services.reports import reconcile
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work
from controller.services.sessions import expiry, start_failures, warnings
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
WALLETS = ["0x" + f"{n:02x}" * 20 for n in (0xA1, 0xB2, 0xC3)]
HOSTS = {"one": 3, "two": 2}
CODES = ["docker_error", "gpu_busy", "image_missing", "volume_busy"]
SEEDED = os.environ.get("HYPOTHESIS_SEED")
TABLES = """usage_window, hold, warning, session_event, run_event, run, gpu_session, gpu, slot, host, transfer,
            journal_batch, operator_alert, account, wallet"""


OFTEN = Counter(
    {
        "start": 4,
        "stop": 3,
        "claim": 2,
        "click": 3,
        "top_up": 1,
        "take": 2,
        "work": 3,
        "crash": 2,
        "report": 3,
    }
    | {"container_dies": 1, "reboot": 1, "pass_time": 3, "look": 4, "operator": 1}
)
WHO, WHICH = st.sampled_from(WALLETS), st.integers(0, 5)
FAILS, HOST = st.sampled_from([*CODES, None, None, None, None]), st.sampled_from(sorted(HOSTS))
GPUS = [f"SIM-{name}-{i}" for name, count in HOSTS.items() for i in range(count)]
LOOPS = [metering.tick, expiry.expire, warnings.warn, reconcile.reconcile, placing.promote]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "start": {"who": WHO, "fails": FAILS},
    "stop": {"who": WHO, "fails": FAILS},
    "claim": {"who": WHO, "profile": st.sampled_from(["small", "medium"])},
    "click": {
        "who": WHO,
        "what": st.sampled_from(["end", "close", "detach", "attach", "heartbeat", "stream"]),
    },
    "top_up": {"who": WHO},
    "take": {},
    "work": {"which": WHICH, "fails": FAILS, "healthy": st.sampled_from([True, None, False])},
    "crash": {"which": WHICH, "acted": st.booleans()},
    "report": {"name": HOST},
    "container_dies": {"which": WHICH},
    "reboot": {"name": HOST},
    "pass_time": {"ms": st.sampled_from([500, 3_000, 7_000, 20_000, 61_000, 130_000, 5 * MINUTE])},
    "look": {"loop": st.sampled_from(LOOPS)},
    "operator": {"uuid": st.sampled_from(GPUS), "does": st.sampled_from(["release", "quarantine"])},
}


class Machine(RuleBasedStateMachine):
    """The platform, and beside it what its hosts really do."""

    database: Any = None

    @initialize()
    def begin(self) -> None:
        with self.database.begin() as db:
            db.execute(text("SET session_replication_role = replica"))
            db.execute(text(f"TRUNCATE {TABLES} CASCADE"))
        self.platform: Platform = make_platform(self.database)
        self.host: FakeProvisioner = self.platform.provisioner
        self.lives: dict[str, list[list[int]]] = {}  # slot -> [from, to] of its containers; to 0: lives
        self.taken: list[runs.Taken] = []
        for name, gpus in HOSTS.items():
            self.platform.add_host(name, gpus, simulated=name == "one")
        for wallet in WALLETS:
            self.platform.credit(wallet, 20)

    @rule(draw=st.data())
    def step(self, draw: Any) -> None:
        """One thing happens. One rule for all: each example mixes them, and the frequent ones are frequent."""
        name = draw.draw(st.sampled_from(sorted(OFTEN.elements())))
        getattr(self, name)(**{word: draw.draw(ARGUMENTS[name][word]) for word in ARGUMENTS[name]})

    # -- people

    def claim(self, who: str, profile: str) -> None:
        self._try(lambda: sessions.claim(self.platform.deps, who, profile))

    def click(self, who: str, what: str) -> None:
        current = sessions.current(self.platform.deps, who)
        if current is not None:
            self._try(lambda: getattr(sessions, what)(self.platform.deps, who, current.id))

    def top_up(self, who: str) -> None:
        self.platform.credit(who, 3)

    def start(self, who: str, fails: str | None) -> None:
        """The usual way, so that there is something to break: a click, and its run right after."""
        self.claim(who, "small")
        self._run_next(fails)

    def stop(self, who: str, fails: str | None) -> None:
        """The usual end; a stop that fails leaves its desktop alive."""
        self.click(who, "end")
        self._run_next(fails)

    def _run_next(self, fails: str | None) -> None:
        taken = runs.take(self.platform.deps, "w")
        if taken is not None:
            self._work(taken, fails, True)

    # -- workers

    def take(self) -> None:
        taken = runs.take(self.platform.deps, "w")
        if taken is not None:
            self.taken.append(taken)

    def work(self, which: int, fails: str | None, healthy: bool | None) -> None:
        """One of the workers that hold a run, however stale, comes to its end."""
        if self.taken:
            self._work(self.taken.pop(which % len(self.taken)), fails, healthy)

    def crash(self, which: int, acted: bool) -> None:
        """A worker dies; its host may have acted before that, or will act later still."""
        if self.taken:
            taken = self.taken.pop(which % len(self.taken))
            if acted:
                self._work(taken, None, True, written=False)

    # -- hosts

    def report(self, name: str) -> None:
        orders = self._report(name)
        for slot in orders["stop"]:
            self._gone(slot)

    def container_dies(self, which: int) -> None:
        alive = sorted(self.host.containers)
        if alive:
            self._gone(alive[which % len(alive)])

    def reboot(self, name: str) -> None:
        for slot in self._slots_on(name):
            self._gone(slot)

    # -- clocks and loops

    def pass_time(self, ms: int) -> None:
        """Guards go on without a controller: what has outlived its lease is stopped by them."""
        self.platform.clock.advance(ms)
        now = self.platform.clock.now_ms()
        for slot, until in self.platform.rows("SELECT id, lease_until_ms FROM slot WHERE state <> 'gone'"):
            if until <= now:
                self._gone(slot)

    def look(self, loop: Any) -> None:
        loop(self.platform.deps)

    def operator(self, uuid: str, does: str) -> None:
        deps = self.platform.deps
        if does == "release":
            self._try(lambda: hosts.release_gpu(deps, uuid))
        if does == "quarantine":
            self._try(lambda: hosts.quarantine_gpu(deps, uuid, "by hand"))

    # -- what must hold

    @invariant()
    def no_gpu_is_in_two_desktops(self) -> None:
        if not hasattr(self, "platform"):
            return
        given = {
            request["slot"]: set(request["gpus"])
            for playbook, request in self.host.requests
            if playbook == runs.START and request["slot"] in self.host.containers
        }
        for one, other in combinations(sorted(given), 2):
            assert not given[one] & given[other], f"{one} and {other} share a GPU"
        free = {
            u
            for (u,) in self.platform.rows("SELECT uuid FROM gpu WHERE state IN ('free', 'checked', 'dirty')")
        }
        for slot, gpus in given.items():
            assert not gpus & free, f"a GPU of {slot} is free while its desktop lives"

    @invariant()
    def nobody_pays_for_what_was_not_there(self) -> None:
        if not hasattr(self, "platform"):
            return
        windows = """SELECT w.from_ms, w.to_ms, array_agg(DISTINCT r.slot_id) FROM usage_window w
                     JOIN run r ON r.session_id = w.session_id WHERE w.kind = 'used' GROUP BY w.session_id, 1, 2"""
        for start, end, slots in self.platform.rows(windows):
            spans = [
                (a, b or self.platform.clock.now_ms()) for slot in slots for a, b in self.lives.get(slot, [])
            ]
            assert any(a <= start and end <= b for a, b in spans), f"billed {start}-{end}, lived {spans}"

    def teardown(self) -> None:
        """After any prefix: once nothing fails any more, everything comes to an end by itself."""
        if not hasattr(self, "platform"):
            return
        self.taken = []
        for wallet in WALLETS:
            current = sessions.current(self.platform.deps, wallet)
            if current is not None:
                self._try(lambda who=wallet, i=current.id: sessions.end(self.platform.deps, who, i))
        for _ in range(4):
            self.platform.clock.advance(max(PATIENCE_MS, start_failures.REST_MS, 61_000))
            for name in HOSTS:
                self._report(name)
            reconcile.reconcile(self.platform.deps)
            while taken := runs.take(self.platform.deps, "last"):
                self._work(taken, None, True)
            placing.promote(self.platform.deps)
        assert self.host.containers == {}
        assert {s for (s,) in self.platform.rows("SELECT state FROM slot")} <= {"gone"}
        assert {s for (s,) in self.platform.rows("SELECT state FROM gpu")} <= {"free", "quarantined"}
        assert {s for (s,) in self.platform.rows("SELECT state FROM gpu_session")} <= {"ended", "failed"}
        assert self.platform.rows("SELECT 1 FROM hold WHERE released_at_ms IS NULL") == []

    # -- the hosts' side

    def _work(
        self, taken: runs.Taken, fails: str | None, healthy: bool | None, *, written: bool = True
    ) -> None:
        self.host.fail_starts = [{"code": fails, "message": "", "retry": "elsewhere"}] if fails else []
        self.host.fail_stops = 1 if fails else 0
        self.host.checks = {
            f"SIM-two-{i}": {"healthy": healthy, "why": "said so"} for i in range(HOSTS["two"])
        }
        fenced = Fenced(self)
        if written:
            run_work.work(self.platform.deps, fenced, taken)
            return
        finish, run_work.run_outcomes.finish = run_work.run_outcomes.finish, lambda *_: True
        try:
            run_work.work(self.platform.deps, fenced, taken)
        finally:
            run_work.run_outcomes.finish = finish

    def _report(self, name: str) -> dict[str, Any]:
        slots = [self.host.seen(slot) for slot in self._slots_on(name)]
        return self.platform.report(name, slots=slots)

    def _slots_on(self, name: str) -> list[str]:
        on = {slot for (slot,) in self.platform.rows("SELECT id FROM slot WHERE host = :h", h=name)}
        return sorted(on & self.host.containers.keys())

    def _gone(self, slot: str) -> None:
        if self.host.containers.pop(slot, None) is not None:
            self.lives[slot][-1][1] = self.platform.clock.now_ms()

    def _try(self, act: Any) -> None:
        with contextlib.suppress(AxonosError):  # a refusal is an answer
            act()


class Fenced:
    """A host that obeys fencing tokens, as the host program does, and writes down who lived when."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def run(self, *, playbook: str, variables: dict[str, Any], **others: Any) -> RunOutcome:
        machine, request = self.machine, variables["session_request"]
        slot, token = request.get("slot"), request.get("fencing_token", 0)
        seen = [
            (p, r["fencing_token"])
            for p, r in machine.host.requests
            if r.get("slot") == slot and slot is not None
        ]
        stopped = max((t for p, t in seen if p == runs.STOP), default=-1)
        stale = token < max((t for _, t in seen), default=-1) or (playbook == runs.START and token <= stopped)
        if slot is not None and stale:
            return RunOutcome(False, {"ok": False, "code": "stale_token", "retry": "stop"}, "stale_token")
        before = slot in machine.host.containers
        machine.host.start_ms = 0 if before else 2_000
        began = machine.platform.clock.now_ms()
        outcome = machine.host.run(playbook=playbook, variables=variables, **others)
        if not before and slot in machine.host.containers:
            machine.lives.setdefault(slot, []).append([began, 0])
        if before and slot not in machine.host.containers:
            machine.lives[slot][-1][1] = machine.platform.clock.now_ms()
        return outcome


def test_whatever_happens_in_whatever_order(database):
    Machine.database = database
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=40,
            deadline=None,
            derandomize=SEEDED is None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )

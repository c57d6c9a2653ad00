"""What the session tests share: a platform with simulated hosts, credit, a provisioner that answers as told."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field, replace
from typing import Any

from fakes import FakeClock, make_deps, make_settings
from sqlalchemy import text

from controller.services.deps import Deps
from controller.services.hosts import registry as hosts
from controller.services.money import ledger, metering
from controller.services.ports import RunOutcome
from controller.services.queue import placing
from controller.services.reports import guard_reports
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work

WALLET = "0x" + "a1" * 20
OTHER = "0x" + "b2" * 20
MINUTE = 60_000


class FakeTickets:
    """Implements `ports.TicketSigner`."""

    def sign(self, payload: bytes) -> bytes:
        return b"signed:" + payload[:4]


@dataclass
class FakeProvisioner:
    """Implements `ports.Provisioner`: containers in memory, faults on demand."""

    clock: FakeClock
    start_ms: int = 3_000
    fail_starts: list[dict[str, Any]] = field(default_factory=list)
    fail_stops: int = 0
    fail_moves: list[dict[str, Any]] = field(default_factory=list)
    fail_orders: list[dict[str, Any]] = field(default_factory=list)
    moves: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    host_key: str = ""
    checks: dict[str, Any] = field(default_factory=dict)
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, *, run_id, playbook, host, variables, on_event, timeout_s) -> RunOutcome:
        request = variables["session_request"]
        with self.lock:
            self.requests.append((playbook, request))
            if "source" in host:
                self.moves.append((host["source"]["name"], host["name"], request))
            on_event({"event": "playbook_on_start", "counter": 1, "event_data": {}})
            on_event({"event": "runner_on_ok", "counter": 2, "event_data": {"task": "session"}})
            answer = {
                "start.yml": self._start,
                "stop.yml": self._stop,
                "gpu_check.yml": self._check,
                "home_move.yml": self._move,
                "home_change.yml": self._change,
            }.get(playbook.removeprefix("session_"), self._probe)(request)
        return RunOutcome(answer["ok"], answer, answer.get("code"))

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.fail_starts:
            return {"ok": False, **self.fail_starts.pop(0)}
        began = self.clock.now_ms()
        self.clock.advance(self.start_ms)
        made = {
            "container_id": f"c-{request['slot']}",
            "started_at_ms": began,
            "ready_at_ms": self.clock.now_ms(),
        }
        self.containers[request["slot"]] = made
        key = {"host_key": self.host_key} if request.get("kind") == "ssh" else {}
        return {"ok": True, "changed": True, "stages": {}, **made, **key}

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.fail_stops:
            self.fail_stops -= 1
            return {"ok": False, "code": "docker_error", "message": "busy", "retry": "here"}
        gone = self.containers.pop(request["slot"], None)
        alive = self.clock.now_ms() if gone else None
        return {"ok": True, "changed": gone is not None, "stopped_at_ms": alive} | self._check(request)

    def _move(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.fail_moves:
            return {"ok": False, **self.fail_moves.pop(0)}
        return {"ok": True, "changed": True, "name": request["name"], "bytes_sent": 1_000}

    def _change(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.fail_orders:
            return {"ok": False, **self.fail_orders.pop(0)}
        return {"ok": True, "changed": True}

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "gpu_checks": {g: self.checks[g] for g in request["gpus"] if g in self.checks}}

    def _probe(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "slots": [self.seen(slot) for slot in self.containers]}

    def seen(self, slot: str) -> dict[str, Any]:
        """A container as guard and probe report it."""
        made = self.containers[slot]
        return {
            "slot": slot,
            "container_id": made["container_id"],
            "state": "running",
            "started_at_ms": made["started_at_ms"],
            "finished_at_ms": None,
        }


@dataclass
class Platform:
    """One controller with its database, and hosts that exist in memory only."""

    deps: Deps
    clock: FakeClock
    provisioner: FakeProvisioner
    numbers: Any = field(default_factory=itertools.count)

    def credit(self, wallet: str, minutes: int, *, gpu_ms: int = 0) -> None:
        amount = minutes * MINUTE + gpu_ms
        with self.deps.database.begin() as db:
            db.execute(
                text("INSERT INTO wallet (address, created_at_ms) VALUES (:w, 1) ON CONFLICT DO NOTHING"),
                {"w": wallet},
            )
            if amount:
                key = f"grant:test:{next(self.numbers)}"
                posting = ledger.Posting(key, "grant", "issued:test", f"user:{wallet}", amount)
                ledger.post(db, at_ms=self.clock.now_ms(), transfers=[posting])

    def add_host(
        self, name: str = "local", gpus: int = 8, *, simulated: bool = True, model: str = "simulated"
    ) -> None:
        hosts.register(
            self.deps,
            name,
            connection="local",
            address="127.0.0.1",
            gateway_url="ws://localhost:8081",
            gpus=[hosts.GpuSpec(f"SIM-{name}-{i}", model) for i in range(gpus)],
            simulated=simulated,
        )

    def work(self) -> int:
        """Do every run that is due, then hand out what became free; until nothing is left."""
        done = 0
        while True:
            placing.promote(self.deps)
            taken = runs.take(self.deps, "test")
            if taken is None:
                return done
            run_work.work(self.deps, self.provisioner, taken)
            done += 1

    def report(self, host: str = "local", **changes: Any) -> dict[str, Any]:
        """The guard's report of all containers, right now."""
        slots = [self.provisioner.seen(slot) for slot in self.provisioner.containers]
        body = {"host": host, "boot_id": "b", "at_ms": self.clock.now_ms(), "slots": slots}
        return guard_reports.report(self.deps, body | changes)

    def log_in(self) -> None:
        """Somebody logs in to every shell there is, for the first time."""
        slots = [self.provisioner.seen(slot) | {"opened": True} for slot in self.provisioner.containers]
        self.report(slots=slots)

    def pass_time(self, ms: int) -> None:
        """Time passes; the guard reports at the end of it, and the meter ticks."""
        self.clock.advance(ms)
        self.report()
        metering.tick(self.deps)

    def balance(self, wallet: str = WALLET) -> int:
        with self.deps.database.begin() as db:
            return ledger.balance(db, wallet).gpu_ms

    def held(self, wallet: str = WALLET) -> int:
        with self.deps.database.begin() as db:
            return ledger.balance(db, wallet).held_gpu_ms

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.deps.database.begin() as db:
            return list(db.connection().execute(text(statement), values).all())

    def gpus(self) -> dict[str, int]:
        return dict(self.rows("SELECT state, count(*) FROM gpu GROUP BY state"))


def make_platform(database: Any, **sections: Any) -> Platform:
    """A platform on a fresh database; no host yet."""
    deps = make_deps(database, settings=make_settings(**sections))
    clock = deps.clock
    assert isinstance(clock, FakeClock)
    tickets: Any = FakeTickets()
    return Platform(replace(deps, tickets=tickets), clock, FakeProvisioner(clock))

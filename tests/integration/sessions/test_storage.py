"""Storage: what hosts count is charged by elapsed byte-time, once, and never below the floor."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from session_kit import MINUTE, WALLET, Platform, make_platform
from sqlalchemy import text

from controller.auditor import run as audit
from controller.services.homes import storage_bills
from controller.services.money import ledger, statement
from controller.services.sessions import facade as sessions
from controller.web.statement_words import readable

pytestmark = pytest.mark.integration
GB, HOUR = 10**9, 60 * MINUTE
DAY = 24 * HOUR
LAG = MINUTE


def counted(platform: Platform, size: int, host: str = "local", **more: Any) -> dict[str, Any]:
    return platform.report(host, homes={WALLET: size}, **more)


def settle(platform: Platform) -> None:
    while storage_bills.bill(platform.deps):
        pass


def lie(platform: Platform, ms: int, size: int, step: int = HOUR) -> None:
    """The home lies there; its host counts it now and then."""
    while ms > 0:
        platform.clock.advance(min(step, ms))
        ms -= step
        counted(platform, size)
    settle(platform)


def audited(platform: Platform) -> list[Any]:
    with platform.deps.database.engine.connect() as db:
        return audit.read(db, lambda _check, _count: None).findings + ledger.audit(platform.deps)


def windows(platform: Platform) -> list[tuple[str, int, int]]:
    return platform.rows("SELECT kind, to_ms - from_ms, gpu_ms FROM storage_window ORDER BY from_ms")


@pytest.fixture
def home(platform: Platform) -> Platform:
    """A home that was just left, charged for nothing yet."""
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()
    return platform


def test_twenty_gb_cost_a_minute_an_hour_and_the_statement_says_so(home: Platform) -> None:
    counted(home, 20 * GB)
    before = home.balance()
    lie(home, 10 * HOUR + LAG, 20 * GB)
    assert before - home.balance() == 10 * MINUTE
    (entry, *_) = statement.entries(home.deps, WALLET, None, 10)
    (line, *_) = readable([entry], {})
    assert (line.what, line.gpu_ms) == ("Storage", -10 * MINUTE)
    assert line.why == "20.00 GB kept for 10.0 hours, charged while no session ran"
    assert audited(home) == []


def test_nothing_is_charged_while_a_session_runs(home: Platform) -> None:
    counted(home, 20 * GB)
    lie(home, HOUR + LAG, 20 * GB)
    view = sessions.claim(home.deps, WALLET, "small")
    home.work()
    stored = home.rows("SELECT sum(gpu_ms) FROM storage_window")
    for _ in range(3):
        home.clock.advance(10 * MINUTE)
        counted(home, 40 * GB)  # it grows meanwhile
    settle(home)
    assert home.rows("SELECT sum(gpu_ms) FROM storage_window WHERE kind = 'charged'") >= stored
    sessions.end(home.deps, WALLET, view.id)
    home.work()
    before = home.balance()
    lie(home, HOUR + LAG, 40 * GB)
    assert before - home.balance() == 2 * MINUTE
    assert ("session", 30 * MINUTE, 0) in windows(home)
    assert audited(home) == []


def test_a_session_that_ends_as_it_is_ready_parts_no_window(home: Platform) -> None:
    home.provisioner.start_ms = 0
    for _ in range(2):
        home.clock.advance(1)
        view = sessions.claim(home.deps, WALLET, "small")
        home.work()
        sessions.end(home.deps, WALLET, view.id)
        home.work()
    home.clock.advance(7 * MINUTE)
    counted(home, 1)
    assert audited(home) == []


def test_where_it_is_billed_always_a_session_makes_no_difference(database: Any) -> None:
    platform = make_platform(database, storage={"billed": "always"})
    platform.add_host()
    platform.credit(WALLET, 600)
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.detach(platform.deps, WALLET, view.id)
    counted(platform, 20 * GB)
    platform.clock.advance(LAG)  # what came before was counted at nothing
    lie(platform, 3 * HOUR, 20 * GB, 5 * MINUTE)
    ((stored,),) = platform.rows("SELECT sum(gpu_ms) FROM storage_window")
    assert 2 * MINUTE < stored <= 3 * MINUTE
    assert audited(platform) == []


def test_a_home_that_nobody_saw_is_not_charged_for_that_time(home: Platform) -> None:
    counted(home, 20 * GB)
    lie(home, 2 * HOUR, 20 * GB)
    home.clock.advance(5 * HOUR)
    counted(home, 20 * GB)
    lie(home, HOUR + LAG, 20 * GB)
    assert ("gap", 5 * HOUR, 0) in windows(home)
    ((stored,),) = home.rows("SELECT sum(gpu_ms) FROM storage_window")
    assert stored == 3 * MINUTE
    assert audited(home) == []


def test_the_floor_holds_and_what_lies_beyond_is_never_charged_later(home: Platform) -> None:
    counted(home, 400 * GB)
    lie(home, 4 * DAY, 400 * GB)  # 20 minutes an hour
    assert home.balance() == -1_440 * MINUTE
    home.credit(WALLET, 100)
    lie(home, HOUR, 400 * GB)
    assert home.balance() > -1_440 * MINUTE + 50 * MINUTE
    assert audited(home) == []


def test_only_the_host_that_has_a_home_is_heard_about_it(home: Platform) -> None:
    home.add_host("other")
    counted(home, 20 * GB)
    answer = counted(home, 900 * GB, "other")
    assert home.rows("SELECT bytes_used FROM home") == [(20 * GB,)]
    assert answer["quotas"] == {"default": 100 * GB, "others": {}}
    with home.deps.database.begin() as db:
        db.execute(text("UPDATE home SET quota_bytes = 5"))
    assert counted(home, 20 * GB)["quotas"]["others"] == {WALLET: 5}
    assert "quotas" not in home.report()


class Stored(RuleBasedStateMachine):
    """Counting, settling and sessions in any order beside a list of what was true at each millisecond."""

    database: Any = None

    def __init__(self) -> None:
        super().__init__()
        with self.database.begin() as db:
            db.execute(text("SET LOCAL session_replication_role = replica"))
            tables = db.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
            db.execute(text("; ".join(f"DELETE FROM {t}" for t in tables if t != "alembic_version")))
        self.platform = make_platform(self.database)
        self.platform.provisioner.start_ms = 0
        self.platform.add_host()
        self.platform.credit(WALLET, 100_000)
        self.session: str | None = None
        self.ran: list[list[int]] = []
        self.launch()
        self.leave()
        self.began = self.mark = self.seen = self.ran[0][0]
        self.size = self.units = 0

    @property
    def now(self) -> int:
        return self.platform.clock.now_ms()

    def charge(self, until: int, *, free: bool = False) -> None:
        """What the specification says of the time since the mark, summed up by itself."""
        running = [begin for begin, end in self.ran if end < 0]
        until = min(until, *running) if running else until
        if until <= self.mark:
            return
        inside = sum(max(0, min(end, until) - max(begin, self.mark)) for begin, end in self.ran if end >= 0)
        if not free:
            self.units += (until - self.mark - inside) * self.size * 3_000
        self.mark = until

    @rule(ms=st.sampled_from([1, 999, MINUTE, 7 * MINUTE, 55 * MINUTE, 3 * HOUR]))
    def pass_time(self, ms: int) -> None:
        self.platform.clock.advance(ms)

    @rule(size=st.sampled_from([0, 1, 7 * GB + 13, 50 * GB]), late=st.sampled_from([0, 5_000]))
    def count(self, size: int, late: int) -> None:
        at = self.now - late
        counted(self.platform, size, at_ms=at)
        if at < self.seen:
            return
        if at - self.seen > HOUR:
            self.charge(min(self.seen, self.now - LAG))
            self.charge(at, free=True)
        elif size != self.size:
            self.charge(min(at, self.now - LAG))
        self.size, self.seen = size, at

    @rule(times=st.integers(1, 2))
    def bill(self, times: int) -> None:
        for _ in range(times):
            storage_bills.bill(self.platform.deps)
        if self.mark <= min(self.seen, self.now - LAG) - HOUR:
            self.charge(min(self.seen, self.now - LAG))

    @rule()
    def launch(self) -> None:
        if self.session is None:
            self.session = sessions.claim(self.platform.deps, WALLET, "small").id
            self.platform.work()
            self.ran.append([self.now, -1])

    @rule()
    def leave(self) -> None:
        if self.session is not None:
            sessions.end(self.platform.deps, WALLET, self.session)
            self.platform.work()
            self.session, self.ran[-1][1] = None, self.now

    @invariant()
    def the_same_sum(self) -> None:
        ((mark, remainder),) = self.platform.rows("SELECT billed_to_ms, remainder FROM home")
        ((stored,),) = self.platform.rows("SELECT coalesce(sum(gpu_ms), 0) FROM storage_window")
        assert mark == self.mark
        assert int(stored) * 3_600_000 * GB + remainder == self.units

    def teardown(self) -> None:
        assert audited(self.platform) == []


def test_any_order_of_counts_bills_and_sessions_comes_to_the_same_sum(database: Any) -> None:
    Stored.database = database
    long = "AXONOS_TEST_LONG" in os.environ
    run_state_machine_as_test(
        Stored,
        settings=settings(
            max_examples=1_000 if long else 15,
            stateful_step_count=40 if long else 25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

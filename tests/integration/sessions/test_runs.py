"""The run queue: leases, fencing, events, and a worker that is killed in the middle of a run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from session_kit import WALLET

from controller.errors import DatabaseUnavailable
from controller.services.ports import RunOutcome
from controller.services.runs import orders as runs
from controller.services.runs import outcomes as run_outcomes
from controller.services.runs import work as run_work
from controller.services.runs.figures import run_figures
from controller.services.runs.requests import STOP_TIMEOUT_S
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration


def test_every_event_is_stored_in_order(platform):
    sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    rows = platform.rows("SELECT run_id, attempt, seq, event, task FROM run_event ORDER BY seq")
    ((run_id,),) = platform.rows("SELECT id FROM run")
    assert rows == [
        (run_id, 1, 1, "playbook_on_start", None),
        (run_id, 1, 2, "runner_on_ok", "session"),
    ]


def test_a_run_is_taken_by_one_worker_only(platform):
    sessions.claim(platform.deps, WALLET, "small")
    assert runs.take(platform.deps, "one") is not None
    assert runs.take(platform.deps, "two") is None


def test_a_stale_worker_changes_nothing(platform):
    sessions.claim(platform.deps, WALLET, "small")
    stale = runs.take(platform.deps, "one")
    assert stale is not None
    platform.clock.advance(runs.LEASE_MS - 1)
    assert runs.take(platform.deps, "two") is None
    assert runs.renew(platform.deps, stale)
    platform.clock.advance(runs.LEASE_MS + 1)
    fresh = runs.take(platform.deps, "two")
    assert fresh is not None
    assert (fresh.id, fresh.attempt) == (stale.id, 2)
    assert not runs.renew(platform.deps, stale)
    runs.store_events(
        platform.deps, stale, [{"seq": 1, "event": "late", "task": None, "at": 1, "data": "{}"}]
    )
    assert platform.rows("SELECT 1 FROM run_event") == []
    failed = RunOutcome(succeeded=False, result={}, error_code="timeout")
    assert not run_outcomes.finish(platform.deps, stale, failed)
    assert platform.rows("SELECT state FROM gpu_session") == [("starting",)]
    assert run_work.work(platform.deps, platform.provisioner, fresh)
    assert platform.rows("SELECT state FROM gpu_session") == [("running",)]


def test_each_attempt_gets_a_higher_fencing_token(platform):
    sessions.claim(platform.deps, WALLET, "small")
    tokens = []
    for _ in range(2):
        taken = runs.take(platform.deps, "w")
        assert taken is not None
        run_work_started(platform, taken)
        tokens.append(platform.provisioner.requests[-1][1]["fencing_token"])
        platform.clock.advance(runs.LEASE_MS + 1)
    assert tokens[1] > tokens[0]


def run_work_started(platform, taken):
    """Do the run, but die before its outcome is written."""
    original = run_outcomes.finish
    run_outcomes.finish = lambda *_: True
    try:
        run_work.work(platform.deps, platform.provisioner, taken)
    finally:
        run_outcomes.finish = original


def test_a_stop_waits_for_the_start_before_it(platform):
    view = sessions.claim(platform.deps, WALLET, "small")
    start = runs.take(platform.deps, "w")
    assert start is not None
    sessions.end(platform.deps, WALLET, view.id)
    assert runs.take(platform.deps, "w") is None
    run_work.work(platform.deps, platform.provisioner, start)
    stop = runs.take(platform.deps, "w")
    assert stop is not None
    assert stop.playbook == "session_stop.yml"
    run_work.work(platform.deps, platform.provisioner, stop)
    assert (
        platform.provisioner.requests[-1][1]["timeout_s"] == STOP_TIMEOUT_S
    )  # it was up: let it close its files


def test_a_start_that_nobody_took_is_called_off(platform):
    view = sessions.claim(platform.deps, WALLET, "small")
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()
    assert [p for p, _ in platform.provisioner.requests] == ["session_stop.yml"]
    assert platform.rows("SELECT error_code FROM run ORDER BY id") == [("called_off",), (None,)]


def test_events_wait_while_the_database_is_away(platform, monkeypatch):
    sessions.claim(platform.deps, WALLET, "small")
    taken = runs.take(platform.deps, "w")
    assert taken is not None
    events, real, down = run_work.Events(platform.deps, taken), runs.store_events, [True]

    def store(deps, run, rows):
        if down[0]:
            raise DatabaseUnavailable
        real(deps, run, rows)

    monkeypatch.setattr(runs, "store_events", store)
    events({"event": "a", "counter": 1, "event_data": {"res": {"text": "zero \u0000 byte"}}})
    down[0] = False
    events({"event": "b", "counter": 2, "event_data": {}})
    assert platform.rows("SELECT event FROM run_event ORDER BY seq") == [("a",), ("b",)]


WORKER = """
import sys, time
sys.path[:0] = [{tests!r}, {here!r}]
from controller.adapters.database import PostgresDatabase
from controller.services.runs import orders as runs, work as run_work
from session_kit import make_platform
platform = make_platform(PostgresDatabase({url!r}))
platform.clock.ms = {now}

class Stuck:
    def run(self, *, on_event, **_):
        on_event({{"event": "playbook_on_start", "counter": 1, "event_data": {{}}}})
        print("in the middle", flush=True)
        time.sleep(600)

taken = runs.take(platform.deps, "victim")
run_work.work(platform.deps, Stuck(), taken)
"""


def test_a_worker_killed_in_the_middle_is_followed_by_another(platform, database_url):
    view = sessions.claim(platform.deps, WALLET, "small")
    here = Path(__file__).parent
    source = WORKER.format(
        tests=str(here.parents[1]), here=str(here), url=database_url, now=platform.clock.now_ms()
    )
    victim = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline().strip() == "in the middle"
    finally:
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait(timeout=30)
        victim.stdout.close()
    assert platform.work() == 0, "its lease still runs"
    platform.clock.advance(runs.LEASE_MS + 1)
    began = time.monotonic()
    assert platform.work() == 1
    assert time.monotonic() - began < 10
    now = sessions.current(platform.deps, WALLET)
    assert now is not None
    assert (now.id, now.state) == (view.id, "running")
    assert platform.gpus() == {"free": 7, "leased": 1}
    attempts = platform.rows("SELECT DISTINCT attempt FROM run_event ORDER BY attempt")
    assert attempts == [(1,), (2,)]


def test_a_runs_record_says_how_it_ran_and_when_each_stage_came(platform):
    sessions.claim(platform.deps, WALLET, "small")
    platform.clock.advance(40)
    inner = platform.provisioner

    class Slow:
        def run(self, **request):
            outcome = inner.run(**request)
            stages = {"playbook": 100, "task": 120, "answer": 3_000, "ended": 3_010}
            return replace(outcome, way="cold", way_why="no server", stages=stages)

    taken = runs.take(platform.deps, "w")
    assert run_work.work(platform.deps, Slow(), taken)
    ((way, why, timings),) = platform.rows("SELECT way, way_why, timings FROM run WHERE id = 1")
    assert (way, why) == ("cold", "no server")
    assert timings == {
        "taken": 40, "playbook": 140, "task": 160, "answer": 3_040, "ended": 3_050, "finished": 3_040
    }  # fmt: skip
    with platform.deps.database.begin() as db:
        figures = run_figures(db)
    assert (figures.warm, figures.cold, figures.last_cold_why) == (0, 1, "no server")
    assert (figures.cold_in_a_row, figures.start_p50_ms, figures.start_p99_ms) == (1, 3_000, 3_000)


def test_a_dead_workers_runs_are_taken_over_before_its_lease_is_over(platform):
    """The one that asks lives on this machine, as the dead one did; others wait for the lease."""
    from controller.worker.run_loop import RunLoop

    gone = subprocess.Popen(["/bin/true"])
    gone.wait(timeout=30)
    sessions.claim(platform.deps, WALLET, "small")
    loop = RunLoop(platform.deps, platform.provisioner, owner="me", room=1, finished=lambda: None)
    machine = socket.gethostname()
    for owner, released in (
        (f"{machine}:{os.getpid()}", 0),
        (f"elsewhere:{gone.pid}", 0),
        (f"{machine}:{gone.pid}", 1),
    ):
        taken = runs.take(platform.deps, owner)
        assert taken is not None
        assert loop.take_over() == released
        assert runs.renew(platform.deps, taken)
        assert loop.take_over() == released
        platform.clock.advance(0 if released else runs.LEASE_MS + 1)
    assert runs.take(platform.deps, "me") is not None


def test_a_worker_that_slept_over_its_lease_gets_no_newer_fencing_token(platform):
    """Else its late start would be the newest to the host, and start a desktop that nobody has any more."""
    sessions.claim(platform.deps, WALLET, "small")
    sleeper = runs.take(platform.deps, "sleeper")
    assert sleeper is not None
    platform.clock.advance(runs.LEASE_MS + 1)
    platform.work()
    ((before,),) = platform.rows("SELECT fencing_token FROM slot")
    asked = len(platform.provisioner.requests)
    assert not run_work.work(platform.deps, platform.provisioner, sleeper)
    assert platform.rows("SELECT fencing_token FROM slot") == [(before,)]
    assert len(platform.provisioner.requests) == asked, "the host is not asked at all"

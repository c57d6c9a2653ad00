"""Work wakes the workers: by a word from PostgreSQL, through outages, with several workers, without polling."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from session_kit import OTHER, WALLET, FakeProvisioner, FakeTickets, make_platform

from controller.adapters.clock import SystemClock
from controller.adapters.wakeups import EVERYTHING, Wakeups
from controller.errors import DatabaseUnavailable
from controller.services.runs import orders as runs
from controller.services.sessions import facade as sessions
from controller.worker import worker as worker_module
from controller.worker.worker import make_worker

pytestmark = pytest.mark.integration
NEVER_S = 3600.0


@pytest.fixture
def wakeups(database_url):
    listening = Wakeups(database_url)
    assert listening.wait(0) == EVERYTHING, "what was said before it listened is unknown"
    yield listening
    listening.close()


def heard(wakeups):
    """Everything said up to now."""
    found = set()
    while words := wakeups.wait(0.2):
        found |= words
    return found


def test_a_claim_that_starts_a_claim_that_waits_and_freed_gpus_say_so(platform, wakeups):
    view = sessions.claim(platform.deps, WALLET, "max")
    assert heard(wakeups) >= {"runs"}
    platform.credit(OTHER, 600)
    heard(wakeups)
    sessions.claim(platform.deps, OTHER, "small")
    assert heard(wakeups) == {"queue"}
    taken = runs.take(platform.deps, "w")
    assert runs.renew(platform.deps, taken)
    assert heard(wakeups) == set(), "a run in work and its lease wake nobody"
    platform.clock.advance(runs.LEASE_MS + 1)
    platform.work()
    sessions.end(platform.deps, WALLET, view.id)
    assert heard(wakeups) >= {"runs"}
    platform.work()
    assert "queue" in heard(wakeups)


def test_what_is_rolled_back_wakes_nobody(platform, wakeups):
    with platform.deps.database.begin() as db:
        runs.enqueue(db, runs.PROBE, "local", 1)
        db.rollback()
    assert heard(wakeups) == set()


def test_after_an_outage_everything_may_have_been_said(platform, wakeups):
    platform.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(DatabaseUnavailable):
        heard(wakeups)
    assert wakeups.wait(0) == EVERYTHING
    with platform.deps.database.begin() as db:
        runs.enqueue(db, runs.PROBE, "local", 1)
    assert heard(wakeups) == {"runs"}


class Standing(SystemClock):
    """The real clock; a fake container takes no time to start."""

    def advance(self, ms):
        assert ms == 0


def test_two_workers_that_never_look_by_themselves_do_everything_at_once(database, database_url, monkeypatch):
    monkeypatch.setattr(worker_module, "LOOK_ANYWAY_S", NEVER_S)
    platform = make_platform(database)
    clock = Standing()
    platform.deps = replace(platform.deps, clock=clock, tickets=FakeTickets())
    platform.provisioner = FakeProvisioner(clock, start_ms=0)
    platform.add_host()
    platform.credit(WALLET, 60)
    platform.credit(OTHER, 600)
    stopping = threading.Event()
    workers = [
        make_worker(platform.deps, platform.provisioner, stopping, Wakeups(database_url)) for _ in range(2)
    ]
    threads = [threading.Thread(target=w.serve, daemon=True) for w in workers]
    for thread in threads:
        thread.start()
    try:
        first = sessions.claim(platform.deps, WALLET, "max")
        eventually(lambda: sessions.current(platform.deps, WALLET).state == "running")
        assert sessions.claim(platform.deps, OTHER, "small").state == "queued"
        sessions.end(platform.deps, WALLET, first.id)
        eventually(lambda: sessions.current(platform.deps, OTHER).state == "running")
    finally:
        stopping.set()
        platform.rows("SELECT pg_notify('axonos_wake', 'end')")
        for thread in threads:
            thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)


def eventually(condition, patience_s=60):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)

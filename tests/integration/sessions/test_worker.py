"""A whole worker in threads: a claim becomes a desktop, an end frees its GPUs, a stop leaves nothing half done."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from session_kit import WALLET, FakeProvisioner, FakeTickets, make_platform

from controller.adapters.clock import SystemClock
from controller.services.sessions import facade as sessions
from controller.worker.worker import make_worker

pytestmark = pytest.mark.integration
PATIENCE_S = 60


class Standing(SystemClock):
    """The real clock; a fake container takes no time to start."""

    def advance(self, ms):
        assert ms == 0


def eventually(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


@pytest.fixture
def serving(database):
    """A platform whose worker runs in threads; (platform, worker thread, stop event)."""
    platform = make_platform(database)
    clock = Standing()
    platform.deps = replace(platform.deps, clock=clock, tickets=FakeTickets())
    platform.clock = clock
    platform.provisioner = FakeProvisioner(clock, start_ms=0)
    platform.add_host()
    platform.credit(WALLET, 60)
    stopping = threading.Event()
    worker = make_worker(platform.deps, platform.provisioner, stopping)
    left = []
    thread = threading.Thread(target=lambda: left.append(worker.serve()))
    thread.start()
    yield platform
    stopping.set()
    thread.join(timeout=60)
    assert left == [0], "every run in work came to its end"


def state(platform):
    view = sessions.current(platform.deps, WALLET)
    return view.state if view else None


def test_claim_run_end_and_free_again_without_anyone_watching(serving):
    view = sessions.claim(serving.deps, WALLET, "medium")
    eventually(lambda: state(serving) == "running")
    serving.report()
    sessions.end(serving.deps, WALLET, view.id)
    eventually(lambda: state(serving) is None)
    eventually(lambda: serving.gpus() == {"free": 8})
    assert serving.balance() >= 60 * 60_000 - 2 * PATIENCE_S * 1000


def test_a_queued_claim_starts_by_itself(serving):
    other = "0x" + "d4" * 20
    serving.credit(other, 600)
    first = sessions.claim(serving.deps, WALLET, "small")
    assert sessions.claim(serving.deps, other, "max").state == "queued"
    eventually(lambda: state(serving) == "running")
    sessions.end(serving.deps, WALLET, first.id)
    eventually(lambda: sessions.current(serving.deps, other).state == "running")

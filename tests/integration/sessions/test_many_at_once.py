"""Everybody at once: claims, heartbeats, ticks, reports, ends and workers in parallel; then the books are read."""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import replace

import pytest
from session_kit import MINUTE

from controller.domain.lifecycle import LIVE
from controller.errors import Refused
from controller.services.money import ledger, metering
from controller.services.queue import placing
from controller.services.reports import reconcile
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work
from controller.services.sessions import expiry, warnings
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
WALLETS = [f"0x{i:040x}" for i in range(1, 13)]
CREDIT = 600 * MINUTE
ROUNDS = 40


def user(platform, seed, problems):
    """One person with several wallets, who clicks everything."""
    rng = random.Random(seed)
    for _ in range(ROUNDS):
        wallet = rng.choice(WALLETS)
        view = sessions.current(platform.deps, wallet)
        acts = [sessions.heartbeat, sessions.detach, sessions.attach, sessions.close, sessions.end]
        try:
            if view is None:
                sessions.claim(platform.deps, wallet, rng.choice(["small", "medium", "large", "max"]))
            else:
                rng.choice(acts)(platform.deps, wallet, view.id)
        except Refused:
            continue
        except Exception as error:  # noqa: BLE001 - every other one is a finding
            problems.append(error)


def machinery(platform, seed, problems):
    """A worker and a guard, with a clock that runs and now and then steps back."""
    rng = random.Random(seed)
    steps = [placing.promote, metering.tick, expiry.expire, warnings.warn, reconcile.reconcile]
    for _ in range(ROUNDS * 2):
        platform.clock.advance(rng.choice([0, 500, 2_000, 20_000, -700]))
        try:
            rng.choice(steps)(platform.deps)
            if rng.random() < 0.5:
                platform.report()
            taken = runs.take(platform.deps, f"worker {seed}")
            if taken:
                run_work.work(platform.deps, platform.provisioner, taken)
        except Exception as error:  # noqa: BLE001 - every one is a finding
            problems.append(error)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_books_are_right_after_a_storm(platform, seed):
    numbers, lock = iter(range(10**6)), threading.Lock()

    def new_id():
        with lock:
            return f"{seed}-{next(numbers)}"

    platform.deps = replace(platform.deps, new_id=new_id)
    platform.provisioner.start_ms = 100
    for wallet in WALLETS:
        platform.credit(wallet, CREDIT // MINUTE)
    problems: list[Exception] = []
    threads = [threading.Thread(target=user, args=(platform, seed * 100 + i, problems)) for i in range(4)]
    threads += [
        threading.Thread(target=machinery, args=(platform, seed * 100 + 50 + i, problems)) for i in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [f"{error!r} from {error.__cause__}" for error in problems] == []
    settle_everything(platform)
    check_books(platform)


def settle_everything(platform):
    """Everyone ends; the machinery comes to rest."""
    for _ in range(6):
        for wallet in WALLETS:
            view = sessions.current(platform.deps, wallet)
            if view:
                sessions.end(platform.deps, wallet, view.id)
        platform.clock.advance(runs.LEASE_MS + 61_000)
        platform.work()
    assert platform.gpus() == {"free": 8}
    assert platform.provisioner.containers == {}


def check_books(platform):
    live = platform.rows("SELECT id FROM gpu_session WHERE state = ANY(:live)", live=sorted(LIVE))
    assert live == []
    assert platform.rows("SELECT 1 FROM hold WHERE released_at_ms IS NULL") == []
    # Each session: windows touch from ready to the mark, and used time is what was posted.
    for session_id, ready, mark in platform.rows(
        "SELECT id, ready_at_ms, billed_to_ms FROM gpu_session WHERE ready_at_ms IS NOT NULL"
    ):
        edge = ready
        for start, end in platform.rows(
            "SELECT from_ms, to_ms FROM usage_window WHERE session_id = :s ORDER BY from_ms", s=session_id
        ):
            assert start == edge
            edge = end
        assert edge == mark
    ((used,),) = platform.rows(
        "SELECT coalesce(sum((to_ms - from_ms) * gpus), 0) FROM usage_window WHERE kind = 'used'"
    )
    # What a session that nobody opened had cost went back, whole, once.
    ((returned,),) = platform.rows("SELECT coalesce(sum(amount), 0) FROM transfer WHERE kind = 'unopened'")
    assert used - returned == sum(CREDIT - platform.balance(wallet) for wallet in WALLETS)
    assert used > 0
    # One way only: every event starts where the one before it ended.
    for session_id, first in platform.rows(
        "SELECT session_id, min(from_state) FROM session_event WHERE from_state IS NOT NULL GROUP BY 1"
    ):
        assert first
        chain = platform.rows(
            "SELECT from_state, to_state FROM session_event WHERE session_id = :s ORDER BY id", s=session_id
        )
        assert all(a[1] == b[0] for a, b in itertools.pairwise(chain))
    assert ledger.audit(platform.deps) == []

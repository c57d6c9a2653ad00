"""Policy `promise` on a real database: promises stand, waits are explained, guarantees end only for a promise."""

from __future__ import annotations

import pytest
from session_kit import MINUTE, OTHER, WALLET, make_platform
from sqlalchemy.exc import DBAPIError

from controller.services import sessions

pytestmark = pytest.mark.integration
THIRD = "0x" + "c3" * 20


def now_of(platform, wallet):
    view = sessions.current(platform.deps, wallet)
    assert view is not None
    return view


def crowded(platform):
    """Four GPUs in use, a claim of all eight waiting: the free four are promised."""
    platform.credit(OTHER, 8 * 600)
    platform.credit(THIRD, 600)
    sessions.claim(platform.deps, WALLET, "large")
    platform.work()
    return sessions.claim(platform.deps, OTHER, "max")


def test_a_waiting_claim_is_promised_an_instant_that_cannot_be_moved(platform):
    waits = crowded(platform)
    assert waits.state == "queued"
    assert waits.queue is not None
    assert waits.queue_reason == "insufficient free GPUs for requested profile"
    promised = waits.queue.latest_start_ms
    assert promised is not None
    assert waits.queue.ahead == []
    platform.clock.advance(MINUTE)
    platform.work()
    assert now_of(platform, OTHER).queue.latest_start_ms == promised
    for change in (
        "UPDATE promise SET latest_ms = latest_ms + 1 RETURNING 1",
        "DELETE FROM promise RETURNING 1",
    ):
        with pytest.raises(DBAPIError, match="stands as it was given"):
            platform.rows(change)


def test_the_promised_claim_starts_in_time_whatever_the_others_do(platform):
    latest = crowded(platform).queue.latest_start_ms
    assert latest is not None
    sessions.end(platform.deps, WALLET, now_of(platform, WALLET).id)
    platform.work()
    assert now_of(platform, OTHER).state == "running"
    ((started, until),) = platform.rows("SELECT started_at_ms, latest_ms FROM promise")
    assert started <= until == latest


def test_first_fit_promises_nothing(database):
    platform = make_platform(database, queue={"policy": "first-fit"})
    platform.add_host()
    platform.credit(WALLET, 60)
    waits = crowded(platform)
    assert waits.queue is not None
    assert waits.queue.latest_start_ms is None
    assert sessions.claim(platform.deps, THIRD, "small").state == "starting"

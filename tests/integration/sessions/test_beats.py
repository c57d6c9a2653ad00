"""What pages and guards ask all the time: cheap, and as exact as what is asked once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from session_kit import MINUTE, OTHER, WALLET, Platform
from sqlalchemy import event

from controller.errors import NotYours
from controller.services.money import metering
from controller.services.sessions import expiry
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration


@pytest.fixture
def running(platform: Platform) -> str:
    """A Medium desktop that runs; its id."""
    view = sessions.claim(platform.deps, WALLET, "medium")
    platform.work()
    return view.id


@contextmanager
def statements(platform: Platform) -> Iterator[list[str]]:
    """What is said to the database meanwhile."""
    said: list[str] = []
    engine = platform.deps.database.engine  # type: ignore[attr-defined] # the real adapter

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    event.listen(engine, "commit", lambda _: said.append("COMMIT"))
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", hear)


def windows(platform: Platform, session: str) -> int:
    query = "SELECT sum((to_ms - from_ms) * gpus) FROM usage_window WHERE session_id = :s AND kind = 'used'"
    return int(platform.rows(query, s=session)[0][0] or 0)


def test_a_beat_that_bills_is_one_transaction_of_six_statements(platform: Platform, running: str) -> None:
    platform.pass_time(MINUTE)
    platform.clock.advance(20_000)
    platform.report()
    with statements(platform) as said:
        meter = sessions.heartbeat(platform.deps, WALLET, running)
    assert meter.billed_gpu_ms == 2 * (MINUTE + 20_000)
    assert said.count("COMMIT") == 1
    assert len(said) <= 7, "\n".join(said)


def test_a_report_of_desktops_that_run_is_one_transaction_of_five(platform: Platform, running: str) -> None:
    platform.clock.advance(2_000)
    with statements(platform) as said:
        platform.report()
    assert said.count("COMMIT") == 1
    assert len(said) <= 6, "\n".join(said)


def test_what_a_beat_says_it_cost_is_the_sum_of_what_was_billed(platform: Platform, running: str) -> None:
    def told() -> int:
        meter = sessions.heartbeat(platform.deps, WALLET, running)
        assert meter.billed_gpu_ms == windows(platform, running)
        with platform.deps.database.begin() as db:
            assert metering.billed_gpu_ms(db, running) == meter.billed_gpu_ms
        assert meter.balance_gpu_ms == platform.balance()
        return meter.billed_gpu_ms

    sessions.detach(platform.deps, WALLET, running)  # opened, and left alone
    assert told() == 0
    for _ in range(10):
        platform.pass_time(3 * MINUTE - 1)
        told()
    platform.pass_time(MINUTE)
    expiry.expire(platform.deps)
    assert (told(), platform.balance()) == (60 * MINUTE, 0), "the balance is used up, grace began"
    platform.pass_time(2 * MINUTE)
    assert told() == 60 * MINUTE
    platform.credit(WALLET, 30)
    expiry.resume_paid(platform.deps, WALLET)
    platform.pass_time(MINUTE)
    assert told() == 62 * MINUTE, "and the grace between is in no bill"
    sessions.end(platform.deps, WALLET, running)
    platform.clock.advance(MINUTE)
    platform.work()
    assert told() == 62 * MINUTE
    assert [row.kind for row in platform.rows("SELECT DISTINCT kind FROM usage_window ORDER BY kind")] == [
        "grace",
        "used",
    ]


def test_a_beat_takes_a_close_beacon_back_and_one_that_only_looks_does_not(
    platform: Platform, running: str
) -> None:
    def closed() -> int | None:
        ((at,),) = platform.rows("SELECT closed_at_ms FROM gpu_session")
        return int(at) if at else None

    sessions.close(platform.deps, WALLET, running)
    platform.clock.advance(5_000)
    sessions.heartbeat(platform.deps, WALLET, running, sessions.Tab("a", looks=True))
    assert closed() is not None
    sessions.heartbeat(platform.deps, WALLET, running, sessions.Tab("b"))
    assert closed() is None


def test_a_beat_for_another_wallets_session_is_refused_and_leaves_no_trace(
    platform: Platform, running: str
) -> None:
    platform.clock.advance(MINUTE)
    before = platform.rows("SELECT seen_at_ms, billed_to_ms FROM gpu_session")
    with pytest.raises(NotYours):
        sessions.heartbeat(platform.deps, OTHER, running)
    assert platform.rows("SELECT seen_at_ms, billed_to_ms FROM gpu_session") == before

"""Policy `promise` on a real database: promises stand, waits are explained, guarantees end only for a promise."""

from __future__ import annotations

import pytest
from session_kit import MINUTE, OTHER, WALLET, make_platform
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controller.errors import NotYours, UnknownProfile, WrongState
from controller.services import metrics
from controller.services.money import ledger
from controller.services.sessions import facade as sessions
from controller.services.sessions import warnings
from controller.services.status import status

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


def bounded(database):
    """THIRD runs on GPUs that are promised to OTHER later; its guarantee ends before its balance does."""
    tight = {"slack_percent": 0, "slack_minutes_per_gpu": 0}
    platform = make_platform(database, sessions={"grace_minutes": 10}, queue=tight)
    platform.add_host()
    platform.credit(WALLET, 4 * 100)
    platform.credit(OTHER, 8 * 600)
    platform.credit(THIRD, 150)
    large = sessions.claim(platform.deps, WALLET, "large")
    platform.work()
    sessions.detach(platform.deps, WALLET, large.id)
    sessions.claim(platform.deps, OTHER, "max")
    sessions.claim(platform.deps, THIRD, "small", accept_bounded=True)
    platform.work()
    sessions.detach(platform.deps, THIRD, now_of(platform, THIRD).id)
    return platform


def test_the_end_of_a_guarantee_is_told_at_each_threshold(database):
    platform = bounded(database)
    until = now_of(platform, THIRD).guarantee.until_ms
    assert until is not None
    session = now_of(platform, THIRD).id
    assert sessions.heartbeat(platform.deps, THIRD, session).guaranteed_until_ms == until
    told = []
    for left in (31, 29, 28, 9, 2):
        platform.pass_time(until - left * MINUTE - platform.clock.now_ms())
        warnings.warn(platform.deps)
        about = platform.rows("SELECT text FROM warning WHERE session_id = :s ORDER BY id", s=session)
        told.append([text.partition("minutes")[0].split()[-2] for (text,) in about])
    assert told == [[], ["30"], ["30"], ["30", "10"], ["30", "10", "3"]]
    texts = [text for (text,) in about]
    assert all("earlier request still needs them" in text for text in texts)
    assert platform.report()["warnings"][-1]["urgency"] == "critical"


def spend_to(platform, minutes):
    with platform.deps.database.begin() as db:
        much = platform.balance(THIRD) - minutes * MINUTE
        ledger.post(
            db,
            at_ms=platform.clock.now_ms(),
            transfers=[ledger.Posting("t", "use", f"user:{THIRD}", "used:test", much)],
        )


def test_both_ends_are_told_where_both_are_due_and_each_once(database):
    platform = bounded(database)
    session = now_of(platform, THIRD)
    ((slot,),) = platform.rows("SELECT slot_id FROM gpu_session WHERE id = :s", s=session.id)
    platform.pass_time(session.guarantee.until_ms - 20 * MINUTE - platform.clock.now_ms())
    spend_to(platform, 5)
    warnings.warn(platform.deps)
    told = [text for (text,) in platform.rows("SELECT text FROM warning WHERE session_id = :s", s=session.id)]
    assert len(told) == 2
    about_guarantee, about_balance = sorted(told, key=lambda text: "credit" in text)
    assert "guaranteed for less than 30 more minutes" in about_guarantee
    assert "10 minutes of credit left" in about_balance
    assert "guaranteed until" in about_balance, "or a top-up would promise what it cannot keep"
    assert warnings.warn(platform.deps) == 0
    here = [one["text"] for one in platform.report()["warnings"] if one["slot"] == slot]
    assert here == told, "both reach the desktop"
    platform.credit(THIRD, 1)
    assert warnings.warn(platform.deps) == 1, (
        "a top-up that is not enough is told again, the guarantee is not"
    )


def beside_promised_gpus(database, *, accept):
    """Four GPUs free but promised to OTHER; THIRD waits beside them with two and a half hours of credit."""
    tight = {"slack_percent": 0, "slack_minutes_per_gpu": 0}
    platform = make_platform(database, sessions={"grace_minutes": 10}, queue=tight)
    platform.add_host()
    for wallet, minutes in ((WALLET, 4 * 100), (OTHER, 8 * 300), (THIRD, 150)):
        platform.credit(wallet, minutes)
    sessions.claim(platform.deps, WALLET, "large")
    platform.work()
    sessions.claim(platform.deps, OTHER, "max")
    foretold = sessions.outlook(platform.deps, THIRD, "small")
    waits = sessions.claim(platform.deps, THIRD, "small", **accept(foretold))
    return platform, foretold, waits


def test_what_a_claim_would_be_told_is_what_it_is_told(database):
    platform, foretold, waits = beside_promised_gpus(database, accept=lambda _: {})
    assert (waits.state, foretold.starts_now) == ("queued", False)
    assert waits.queue is not None
    assert foretold.offer_until_ms == waits.queue.offer_until_ms is not None
    assert foretold.latest_start_ms == waits.queue.latest_start_ms
    assert waits.queue_reason.startswith("GPUs reserved until ")
    drawn = sessions.drawn(platform.deps, THIRD)
    (host,) = drawn.hosts
    assert (drawn.waiting, host.gpus, host.steps[0].in_use) == (2, 8, 4)
    assert [max(getattr(step, what) for step in host.steps) for what in ("planned", "yours")] == [8, 1]


def test_a_waiting_claim_that_accepts_starts_at_once_with_the_guarantee_it_was_shown(database):
    platform, _, waits = beside_promised_gpus(database, accept=lambda _: {})
    shown = waits.queue.offer_until_ms
    refused = sessions.accept(platform.deps, THIRD, waits.id, shown + 1)
    assert refused.state == "queued", "a shorter guarantee than its owner was shown is not taken"
    started = sessions.accept(platform.deps, THIRD, waits.id, shown)
    assert started.state == "starting"
    assert started.guarantee is not None
    assert started.guarantee.told_until_ms == shown
    with pytest.raises(WrongState):
        sessions.accept(platform.deps, THIRD, waits.id, shown)
    with pytest.raises(NotYours):
        sessions.accept(platform.deps, OTHER, waits.id, shown)


def test_what_is_accepted_at_launch_starts_at_once(database):
    _, foretold, starts = beside_promised_gpus(
        database, accept=lambda seen: {"accept_bounded": True, "accept_until_ms": seen.offer_until_ms}
    )
    assert starts.state == "starting"
    assert starts.guarantee.told_until_ms == foretold.offer_until_ms


def test_an_outlook_writes_nothing_and_says_that_a_claim_starts_now(platform):
    platform.credit(OTHER, 600)
    before = platform.rows("SELECT count(*) FROM gpu_session")
    assert sessions.outlook(platform.deps, OTHER, "max").starts_now
    assert platform.rows("SELECT count(*) FROM gpu_session") == before
    with pytest.raises(UnknownProfile):
        sessions.outlook(platform.deps, OTHER, "huge")


def test_promises_are_counted_and_those_broken_from_outside_stand_apart_with_the_cause(platform):
    crowded(platform)
    with platform.deps.database.begin() as db:
        db.connection().execute(text("UPDATE host SET state = 'lost'"))
    platform.clock.advance(9_000 * MINUTE)
    platform.work()
    waits = now_of(platform, OTHER)
    assert waits.queue.broken_why == "a GPU host was lost"
    counted = status(platform.deps).promises
    assert (counted.given, counted.kept, counted.broken, counted.missed) == (1, 0, 1, 0)
    assert counted.broken_by_cause == {"a GPU host was lost": 1}
    lines = metrics.text(platform.deps).splitlines()
    assert 'axonos_promises_broken_total{cause="a GPU host was lost"} 1' in lines
    assert 'axonos_promises_total{outcome="missed"} 0' in lines


def past_waits(platform, session: str, share: float) -> None:
    """Twenty claims like this session started after that share of the wait they had been promised."""
    platform.rows(
        """
        WITH past AS (
            INSERT INTO gpu_session
            SELECT (jsonb_populate_record(s, jsonb_build_object('id', s.id || n, 'slot_id', NULL))).*
            FROM gpu_session s, generate_series(1, 20) n WHERE s.id = :session RETURNING id
        )
        INSERT INTO promise (session_id, given_at_ms, latest_ms, started_at_ms, broken_why)
        SELECT id, 0, 1000, 1000 * :share, '' FROM past RETURNING 1
        """,
        session=session,
        share=share,
    )


def ended(platform, wallet, profile) -> str:
    session = sessions.claim(platform.deps, wallet, profile)
    platform.work()
    sessions.end(platform.deps, wallet, session.id)
    platform.work()
    return session.id


def test_the_probable_start_is_guessed_from_claims_of_the_same_size(platform):
    platform.credit(THIRD, 60)
    platform.credit(OTHER, 8)
    past_waits(platform, ended(platform, THIRD, "small"), 0.01)
    waits = crowded(platform)
    ((planned,),) = platform.rows("SELECT start_ms FROM queue_place WHERE session_id = :s", s=waits.id)
    assert waits.queue.probable_start_ms == planned, "Smalls tell nothing of a Max"
    sessions.end(platform.deps, OTHER, now_of(platform, OTHER).id)
    sessions.end(platform.deps, WALLET, now_of(platform, WALLET).id)
    platform.work()
    past_waits(platform, ended(platform, OTHER, "max"), 0.02)
    told = crowded(platform).queue
    wait = told.latest_start_ms - told.promised_at_ms
    assert told.probable_start_ms == told.promised_at_ms + int(0.02 * wait)

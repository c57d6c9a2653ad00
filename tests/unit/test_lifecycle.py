"""The life of a session: one way, whatever happens in whatever order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain import lifecycle as lc
from controller.domain.lifecycle import Life, NotPossible

EDGES = {
    ("queued", "starting"),
    ("queued", "ended"),
    ("starting", "running"),
    ("starting", "failed"),
    ("starting", "ending"),
    ("running", "running"),
    ("running", "grace"),
    ("running", "ending"),
    ("grace", "grace"),
    ("grace", "running"),
    ("grace", "ending"),
    ("ending", "ended"),
}
EVENTS = {
    "start": lc.started,
    "ready": lambda life, t: lc.ready(life, t, t, 180_000),
    "fail": lambda life, t: lc.failed(life, "timeout", t),
    "detach": lc.detached,
    "attach": lc.attached,
    "close": lc.closed,
    "exhaust": lambda life, t: lc.exhausted(life, t, 7_200_000),
    "top_up": lc.topped_up,
    "end": lambda life, t: lc.ending(life, t, "ended by you", t),
    "stopped": lc.ended,
}
steps = st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(-2_000, 90_000)), max_size=60)


@given(steps)
def test_random_events_keep_every_invariant(events):
    life, now, states = Life(), 1_000_000, ["queued"]
    for name, pause in events:
        now += pause  # the clock may also step back a little
        try:
            change = EVENTS[name](life, now)
        except NotPossible:
            continue
        if change is None:
            continue
        assert change.before == life.state
        assert (change.before, change.life.state) in EDGES
        life = change.life
        states.append(life.state)
        assert (life.ended_at_ms is not None) == (life.state in lc.FINAL)
        assert (life.end_reason is not None) == (life.state in {"ending", *lc.FINAL})
        assert (life.grace_until_ms is not None) == (life.state == "grace")
        assert (life.ready_at_ms is None) == (life.billed_to_ms is None)
        if life.state in lc.UP:
            assert life.ready_at_ms is not None
        if life.detached:
            assert life.closed_at_ms is None or life.state not in lc.UP
    for final in lc.FINAL:
        assert final not in states[:-1], "nothing follows a final state"


@given(steps)
def test_billing_never_passes_proof_close_or_end(events):
    life, now = Life(), 1_000_000
    for name, pause in events:
        now += abs(pause)
        try:
            change = EVENTS[name](life, now)
        except NotPossible:
            continue
        life = change.life if change else life
        until = lc.billable_until(life, now - 500)
        assert until >= (life.billed_to_ms or 0)
        for bound in (life.closed_at_ms, life.bill_until_ms, now - 500):
            if bound is not None and bound > (life.billed_to_ms or 0):
                assert until <= bound


def running(**fields):
    return Life(**{"state": "running", "ready_at_ms": 0, "billed_to_ms": 0, "seen_at_ms": 0, **fields})


LIMITS = {"reconnect_ms": 45_000, "absence_ms": 180_000}


def test_a_close_beacon_ends_at_its_instant_after_the_window():
    change = lc.closed(running(), 10_000)
    assert change is not None
    assert lc.due(change.life, 54_999, **LIMITS) is None
    assert lc.due(change.life, 55_000, **LIMITS) == (10_000, "tab closed")


def test_a_return_takes_the_beacon_back():
    closed = lc.closed(running(), 10_000)
    assert closed is not None
    back = lc.attached(closed.life, 40_000).life
    assert lc.due(back, 60_000, **LIMITS) is None
    assert lc.billable_until(back, 60_000) == 60_000


def test_a_heartbeat_sent_before_the_beacon_does_not_take_it_back_but_a_later_one_does():
    closed = lc.closed(running(), 10_000)
    assert closed is not None
    assert lc.seen(closed.life, 10_300).closed_at_ms == 10_000
    assert lc.seen(closed.life, 15_000).closed_at_ms is None


def test_a_detached_desktop_is_never_missed():
    life = lc.detached(running(), 5_000).life
    assert lc.closed(life, 6_000) is None
    assert lc.due(life, 10**12, **LIMITS) is None


def test_absence_ends_an_unwatched_desktop():
    assert lc.due(running(seen_at_ms=1_000), 180_999, **LIMITS) is None
    assert lc.due(running(seen_at_ms=1_000), 200_000, **LIMITS) == (181_000, "nobody was watching")


def test_grace_lasts_from_the_exact_instant():
    life = lc.exhausted(running(detached=True), 777, 7_200_000).life
    assert (life.state, life.billed_to_ms, life.grace_until_ms) == ("grace", 777, 7_200_777)
    assert lc.due(life, 7_200_776, **LIMITS) is None
    assert lc.due(life, 7_200_777, **LIMITS) == (7_200_777, "grace period over")
    again = lc.topped_up(life, 5_000).life
    assert (again.state, again.billed_to_ms, again.grace_until_ms) == ("running", 5_000, None)


def test_leaving_the_queue_needs_no_stop():
    assert lc.ending(Life(), 5, "ended by you", 5).life.state == "ended"


@pytest.mark.parametrize("state", ["ending", "ended", "failed"])
def test_what_is_over_stays_over(state):
    for step in (lc.attached, lc.detached, lc.topped_up):
        with pytest.raises(NotPossible):
            step(Life(state=state), 1)
    with pytest.raises(NotPossible):
        lc.ending(Life(state=state), 1, "x", 1)


def test_who_left_the_page_while_it_waited_finds_a_detached_desktop():
    watched = Life(state="starting", seen_at_ms=820_000)
    assert not lc.ready(watched, 1_000_000, 1_000_000, 180_000).life.detached
    assert lc.ready(replace(watched, seen_at_ms=819_999), 1_000_000, 1_000_000, 180_000).life.detached


def test_a_session_ends_unopened_once_a_report_could_have_said_otherwise():
    life = running()
    assert lc.unopened(life, 299_999, 300_000) is None
    assert lc.unopened(life, 300_000, 300_000) == 300_000
    assert lc.unopened(lc.opened(life, 1), 900_000, 300_000) is None
    assert lc.unopened(lc.detached(life, 1).life, 900_000, 300_000) is None, "who detaches has seen it"
    assert lc.opened(lc.opened(life, 1), 9).opened_at_ms == 1, "the first time counts"


def test_a_claim_is_kept_without_a_page_for_a_while_and_a_shell_needs_none():
    claim = lc.claimed(0).life
    assert not lc.given_up(claim, 59_999, 60_000)
    assert lc.given_up(claim, 60_000, 60_000)
    assert not lc.given_up(lc.seen(claim, 30_000), 60_000, 60_000)
    assert not lc.given_up(lc.claimed(0, unwatched=True).life, 60_000, 60_000)
    assert not lc.given_up(lc.started(claim, 1).life, 60_000, 60_000)

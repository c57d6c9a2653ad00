"""Every call in every state: repeated, late, reordered, from another wallet. Same answer, and never a second charge."""

from __future__ import annotations

import itertools

import pytest
from session_kit import MINUTE, OTHER, WALLET

from controller.errors import NotYours, SessionAlreadyLive, WrongState
from controller.services.sessions import expiry
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
HOUR = 60 * MINUTE
VERBS = ("heartbeat", "attach", "detach", "close", "end", "stream")
# What a state answers to what; the rest is refused as `wrong_state`. A close and an end that come late are no
# fault of the page that sends them.
TAKES = {
    "queued": {"heartbeat", "close", "end"},
    "starting": {"heartbeat", "close", "end"},
    "running": set(VERBS),
    "grace": set(VERBS),
    "ending": {"heartbeat", "close", "end"},
    "ended": {"heartbeat", "close", "end"},
    "failed": {"heartbeat", "close", "end"},
}


def brought_to(platform, state):
    """A Small desktop in a state; its id."""
    if state == "queued":
        platform.credit(OTHER, 600)
        sessions.claim(platform.deps, OTHER, "max")
        platform.work()
    if state == "failed":
        fault = {"code": "not_painted", "message": "no frame", "retry": "stop"}
        platform.provisioner.fail_starts = [fault]
    found = sessions.claim(platform.deps, WALLET, "small").id
    if state in ("queued", "starting"):
        return found
    platform.work()
    if state == "grace":
        sessions.detach(platform.deps, WALLET, found)
        platform.pass_time(HOUR)
        expiry.expire(platform.deps)
    if state in ("ending", "ended"):
        platform.pass_time(3 * MINUTE)
        sessions.end(platform.deps, WALLET, found)
    if state == "ended":
        platform.work()
    return found


def called(platform, verb, session):
    try:
        getattr(sessions, verb)(platform.deps, WALLET, session)
    except WrongState:
        return "refused"
    return "taken"


def row(platform):
    """Everything of the session but its presence, which each beat renews."""
    found = platform.rows("SELECT * FROM gpu_session WHERE wallet = :w", w=WALLET)[-1]._asdict()
    return {k: v for k, v in found.items() if k not in ("seen_at_ms", "active_at_ms", "measured_at_ms")}


def money(platform):
    ((count, moved),) = platform.rows(
        "SELECT count(*), coalesce(sum(amount), 0) FROM transfer WHERE kind = 'use'"
    )
    return platform.balance(), platform.held(), count, moved


@pytest.mark.parametrize("state", TAKES)
def test_each_call_in_each_state_twice_from_its_owner_and_from_another(platform, state):
    session = brought_to(platform, state)
    ((found,),) = platform.rows("SELECT state FROM gpu_session WHERE id = :i", i=session)
    assert found == state
    if state not in ("ended", "failed"):
        before = row(platform), money(platform)
        with pytest.raises(SessionAlreadyLive):
            sessions.claim(platform.deps, WALLET, "large")
        assert (row(platform), money(platform)) == before
    for verb in sorted(VERBS, key=lambda verb: verb == "end"):
        before = row(platform), money(platform)
        with pytest.raises(NotYours):
            getattr(sessions, verb)(platform.deps, OTHER, session)
        assert (row(platform), money(platform)) == before, f"{verb} from another wallet"
        wanted = "taken" if verb in TAKES[state] else "refused"
        assert called(platform, verb, session) == wanted, f"{verb} in {state}"
        after = row(platform), money(platform)
        if wanted == "refused" or state in ("ended", "failed"):
            assert after == before, f"{verb} in {state} changed something"
        assert called(platform, verb, session) == wanted
        assert (row(platform), money(platform)) == after, f"{verb} again changed something"


@pytest.mark.parametrize(
    ("state", "told"), [("queued", "not in a state"), ("ended", "over: ended by you"), ("failed", "over: ")]
)
def test_who_comes_too_early_or_too_late_is_told_why(platform, state, told):
    session = brought_to(platform, state)
    with pytest.raises(WrongState, match=told):
        sessions.attach(platform.deps, WALLET, session)
    with pytest.raises(WrongState, match=told):
        sessions.stream(platform.deps, WALLET, session)


def test_whatever_the_order_one_end_one_bill_to_one_instant(platform):
    """A page's last words, each sent twice, arrive at one instant in any order; the stop comes later."""
    for order in itertools.permutations(("heartbeat", "detach", "close", "end")):
        before, stops = platform.balance(), stopped(platform)
        session = brought_to(platform, "running")
        platform.pass_time(MINUTE)
        left = platform.clock.now_ms()
        for verb in (*order, *order):
            called(platform, verb, session)
        platform.clock.advance(4_000)
        platform.report()
        platform.work()
        for verb in order:
            called(platform, verb, session)
        ((state, until, ready),) = platform.rows(
            "SELECT state, bill_until_ms, ready_at_ms FROM gpu_session WHERE id = :i", i=session
        )
        assert (state, until) == ("ended", left), order
        assert before - platform.balance() == left - ready, order
        assert stopped(platform) == stops + 1, order


def stopped(platform):
    return sum(playbook == "session_stop.yml" for playbook, _ in platform.provisioner.requests)

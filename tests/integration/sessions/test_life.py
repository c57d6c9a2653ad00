"""A session from claim to end, with its money: who ends it, what is billed, when GPUs are free again."""

from __future__ import annotations

import pytest
from session_kit import MINUTE, OTHER, WALLET

from controller.domain.ticket import check
from controller.errors import WrongState
from controller.services.money import ledger, metering
from controller.services.queue import placing
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work
from controller.services.runs.requests import NEVER_UP_S
from controller.services.sessions import expiry, warnings
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
HOUR = 60 * MINUTE


@pytest.fixture
def running(platform):
    """A Small desktop that runs; its id."""
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    return view.id


def state(platform, session_id):
    ((found,),) = platform.rows("SELECT state FROM gpu_session WHERE id = :i", i=session_id)
    return found


def windows(platform):
    return [
        tuple(row)
        for row in platform.rows("SELECT kind, to_ms - from_ms FROM usage_window ORDER BY from_ms, id")
    ]


def test_end_bills_to_the_click_and_frees_gpus_only_after_the_confirmed_stop(platform, running):
    platform.pass_time(10 * MINUTE)
    platform.clock.advance(500)
    clicked = sessions.end(platform.deps, WALLET, running)
    assert clicked.state == "ending"
    assert platform.gpus() == {"free": 7, "leased": 1}, "the container still runs"
    assert placing.promote(platform.deps) == 0
    platform.clock.advance(2_000)
    platform.report()
    platform.work()
    assert state(platform, running) == "ended"
    assert platform.gpus() == {"free": 8}
    assert platform.balance() == HOUR - 10 * MINUTE - 500, "billed to the click, not to the stop"
    saved = sessions.saved(platform.deps, WALLET)
    assert saved is not None
    assert (saved.profile, saved.reason) == ("small", "ended by you")
    assert sessions.end(platform.deps, WALLET, running).state == "ended"


def test_gpus_pass_through_dirty_and_checked(platform, running):
    sessions.end(platform.deps, WALLET, running)
    taken = runs.take(platform.deps, "test")
    assert taken is not None
    run_work.work(platform.deps, platform.provisioner, taken)
    assert platform.gpus() == {"free": 7, "checked": 1}
    placing.promote(platform.deps)
    assert platform.gpus() == {"free": 8}


def test_a_failed_stop_is_tried_again_with_growing_pauses_and_holds_the_gpus(platform, running):
    platform.provisioner.fail_stops = 2
    sessions.end(platform.deps, WALLET, running)
    assert platform.work() == 1
    assert (state(platform, running), platform.gpus()["leased"]) == ("ending", 1)
    assert platform.work() == 0, "not before the pause is over"
    platform.clock.advance(1_000)
    assert platform.work() == 1
    platform.clock.advance(1_000)
    assert platform.work() == 0
    platform.clock.advance(1_000)
    assert platform.work() == 1
    assert (state(platform, running), platform.gpus()) == ("ended", {"free": 8})


def test_a_failing_start_bills_nothing_returns_the_hold_and_cleans_up(platform):
    platform.provisioner.fail_starts = [{"code": "not_painted", "message": "no frame", "retry": "stop"}]
    view = sessions.claim(platform.deps, WALLET, "large")
    platform.work()
    assert state(platform, view.id) == "failed"
    assert (platform.held(), platform.balance()) == (0, HOUR)
    assert platform.gpus() == {"free": 8}
    assert [p for p, _ in platform.provisioner.requests] == ["session_start.yml", "session_stop.yml"]
    assert platform.provisioner.requests[-1][1]["timeout_s"] == NEVER_UP_S  # nobody has worked in it
    saved = sessions.saved(platform.deps, WALLET)
    assert saved is not None
    assert saved.reason == "the desktop did not appear in time"
    assert sessions.claim(platform.deps, WALLET, "small").state == "starting"


def test_a_start_that_may_be_tried_again_here_is(platform):
    platform.provisioner.fail_starts = [{"code": "volume_busy", "message": "busy", "retry": "here"}] * 2
    view = sessions.claim(platform.deps, WALLET, "small")
    for _ in range(3):
        platform.work()
        platform.clock.advance(4_000)
    assert state(platform, view.id) == "running"


def test_the_queue_moves_by_itself_and_small_ones_pass(platform):
    for wallet in (OTHER, "0x" + "c3" * 20):
        platform.credit(wallet, 60)
    first = sessions.claim(platform.deps, WALLET, "large")
    platform.work()
    platform.credit(OTHER, 600)
    waiting = sessions.claim(platform.deps, OTHER, "max")
    assert (waiting.state, waiting.queue_position) == ("queued", 1)
    assert waiting.queue_reason == "insufficient free GPUs for requested profile"
    small = sessions.claim(platform.deps, "0x" + "c3" * 20, "small")
    assert small.state == "starting"
    platform.work()
    sessions.end(platform.deps, WALLET, first.id)
    sessions.end(platform.deps, "0x" + "c3" * 20, small.id)
    platform.work()
    assert state(platform, waiting.id) == "running", "nobody had to look"


def test_leaving_the_queue_returns_the_hold(platform):
    platform.credit(OTHER, 600)
    sessions.claim(platform.deps, OTHER, "max")
    waiting = sessions.claim(platform.deps, WALLET, "small")
    assert waiting.state == "queued"
    assert sessions.end(platform.deps, WALLET, waiting.id).state == "ended"
    assert platform.held() == 0
    assert sessions.saved(platform.deps, WALLET) is None, "nothing ever ran"


def test_ending_while_starting_bills_nothing(platform):
    view = sessions.claim(platform.deps, WALLET, "small")
    taken = runs.take(platform.deps, "test")
    assert taken is not None
    sessions.end(platform.deps, WALLET, view.id)
    run_work.work(platform.deps, platform.provisioner, taken)
    assert state(platform, view.id) == "ending"
    platform.work()
    assert state(platform, view.id) == "ended"
    assert (platform.balance(), platform.held(), platform.gpus()) == (HOUR, 0, {"free": 8})
    assert platform.provisioner.containers == {}


def test_close_ends_at_the_beacon_unless_somebody_returns(platform, running):
    platform.pass_time(MINUTE)
    sessions.close(platform.deps, WALLET, running)
    platform.pass_time(30_000)
    assert platform.balance() == HOUR - MINUTE, "nothing is billed past an open beacon"
    sessions.attach(platform.deps, WALLET, running)
    platform.pass_time(30_000)
    assert platform.balance() == HOUR - 2 * MINUTE, "the return made the gap billable"
    sessions.close(platform.deps, WALLET, running)
    platform.pass_time(44_999)
    assert expiry.expire(platform.deps) == 0
    platform.pass_time(1)
    assert expiry.expire(platform.deps) == 1
    platform.work()
    assert (state(platform, running), platform.balance()) == ("ended", HOUR - 2 * MINUTE)


def test_detached_keeps_running_and_billing_and_unwatched_does_not(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(30 * MINUTE)
    assert expiry.expire(platform.deps) == 0
    assert platform.balance() == 30 * MINUTE
    sessions.attach(platform.deps, WALLET, running)
    platform.pass_time(180_000)
    assert expiry.expire(platform.deps) == 1
    platform.work()
    assert state(platform, running) == "ended"
    assert platform.balance() == 27 * MINUTE


def test_a_tick_before_the_look_bills_no_more_than_the_absence(platform, running):
    sessions.attach(platform.deps, WALLET, running)
    ((ready, seen),) = platform.rows("SELECT ready_at_ms, seen_at_ms FROM gpu_session")
    platform.pass_time(10 * MINUTE)
    unwatched = seen - ready + 180_000
    assert platform.balance() == HOUR - unwatched
    assert expiry.expire(platform.deps) == 1
    platform.work()
    assert (state(platform, running), platform.balance()) == ("ended", HOUR - unwatched)


def test_grace_begins_at_the_exact_instant_and_a_top_up_ends_it(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    ((ready,),) = platform.rows("SELECT ready_at_ms FROM gpu_session")
    platform.pass_time(HOUR + 7_777)
    assert expiry.expire(platform.deps) == 1
    ((found, until),) = platform.rows("SELECT state, grace_until_ms FROM gpu_session")
    assert (found, until) == ("grace", ready + HOUR + 120 * MINUTE), "not when somebody looked"
    assert platform.balance() == 0
    platform.credit(WALLET, 60)
    assert expiry.expire(platform.deps) == 1
    assert state(platform, running) == "running"
    platform.pass_time(MINUTE)
    assert platform.balance() == 59 * MINUTE
    assert windows(platform) == [("used", HOUR), ("grace", 7_777), ("used", MINUTE)]


def test_grace_comes_again_only_after_a_deposit(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(HOUR)
    assert expiry.expire(platform.deps) == 1
    platform.credit(WALLET, 10)  # an operator's gift: the desktop goes on, but it is no deposit
    expiry.expire(platform.deps)
    platform.pass_time(10 * MINUTE + 3_000)
    assert expiry.expire(platform.deps) == 1
    platform.work()
    assert (state(platform, running), platform.balance()) == ("ended", 0)
    saved = sessions.saved(platform.deps, WALLET)
    assert saved is not None
    assert saved.reason == "your credit ran out; grace comes again after a new deposit"
    ((until,),) = platform.rows("SELECT bill_until_ms FROM gpu_session")
    assert windows(platform) == [("used", HOUR), ("used", 10 * MINUTE)]
    assert until == platform.rows("SELECT max(to_ms) FROM usage_window")[0][0], "ended at that very instant"

    deposit = ledger.Posting("dep", "deposit", "issued:eth", f"user:{WALLET}", HOUR)
    with platform.deps.database.begin() as db:
        ledger.post(db, at_ms=platform.clock.now_ms(), transfers=[deposit])
    again = sessions.claim(platform.deps, WALLET, "small").id
    platform.work()
    sessions.detach(platform.deps, WALLET, again)
    platform.pass_time(HOUR)
    expiry.expire(platform.deps)
    assert state(platform, again) == "grace"


def test_grace_over_ends_and_is_free(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(HOUR)
    expiry.expire(platform.deps)
    platform.pass_time(120 * MINUTE)
    platform.credit(OTHER, 60)
    assert expiry.expire(platform.deps) == 1
    platform.work()
    assert (state(platform, running), platform.balance(), platform.gpus()) == ("ended", 0, {"free": 8})
    saved = sessions.saved(platform.deps, WALLET)
    assert saved is not None
    assert saved.reason == "grace period over"
    assert windows(platform) == [("used", HOUR), ("grace", 120 * MINUTE)]


def test_a_top_up_while_ending_from_grace_is_not_eaten(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(HOUR)
    expiry.expire(platform.deps)
    platform.pass_time(5 * MINUTE)
    sessions.end(platform.deps, WALLET, running)
    platform.credit(WALLET, 10)
    platform.work()
    assert (state(platform, running), platform.balance()) == ("ended", 10 * MINUTE)


def test_time_without_proof_of_life_is_a_gap_and_free(platform, running):
    platform.pass_time(MINUTE)
    platform.clock.advance(5 * MINUTE)
    sessions.end(platform.deps, WALLET, running)
    platform.provisioner.containers.clear()
    platform.work()
    assert platform.balance() == HOUR - MINUTE
    assert windows(platform) == [("used", MINUTE), ("gap", 5 * MINUTE)]


def test_heartbeat_and_tick_settle_the_same_mark(platform, running):
    platform.clock.advance(90_000)
    platform.report()
    meter = sessions.heartbeat(platform.deps, WALLET, running)
    assert (meter.billed_gpu_ms, meter.balance_gpu_ms) == (90_000, HOUR - 90_000)
    assert (meter.minutes_left, meter.low_balance, meter.burn_rate) == (58, False, 1)
    assert metering.tick(platform.deps) == 0
    assert platform.balance() == HOUR - 90_000
    keys = platform.rows("SELECT key FROM transfer WHERE kind = 'use'")
    assert len(keys) == 1


def test_a_clock_that_steps_changes_no_bill(platform, running):
    platform.pass_time(MINUTE)
    platform.clock.advance(-HOUR)
    assert metering.tick(platform.deps) == 0
    sessions.heartbeat(platform.deps, WALLET, running)
    platform.clock.advance(HOUR)
    platform.pass_time(MINUTE)
    assert platform.balance() == HOUR - 2 * MINUTE


def test_a_stream_ticket_names_session_slot_and_origin(platform, running):
    view = sessions.stream(platform.deps, WALLET, running)
    assert view.gateway_url == "ws://localhost:8081/stream"
    now = platform.clock.now_ms()
    claims = check(view.ticket, lambda *_: True, now, 0, "http://localhost:8080")
    ((slot,),) = platform.rows("SELECT slot_id FROM gpu_session")
    assert (claims.session, claims.slot, claims.host) == (running, slot, "local")
    assert view.expires_at_ms - now <= 30_000
    assert claims.id not in view.gateway_url
    sessions.end(platform.deps, WALLET, running)
    with pytest.raises(WrongState):
        sessions.stream(platform.deps, WALLET, running)


def test_warnings_come_once_per_threshold_and_top_up(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(29 * MINUTE)
    assert warnings.warn(platform.deps) == 0
    for minutes, expected in ((1, 1), (1, 0), (19, 1), (7, 1), (1, 0)):
        platform.pass_time(minutes * MINUTE)
        assert warnings.warn(platform.deps) == expected
    ((first, *_),) = platform.rows("SELECT text FROM warning ORDER BY id LIMIT 1")
    assert "30 minutes" in first
    platform.credit(WALLET, 20)
    assert warnings.warn(platform.deps) == 1, "a new top-up, a new warning"


def test_every_journal_and_window_adds_up_after_a_busy_day(platform, running):
    for minute in range(1, 40):
        platform.pass_time(minute * 977)
        if minute % 3 == 0:
            sessions.heartbeat(platform.deps, WALLET, running)
    sessions.end(platform.deps, WALLET, running)
    platform.work()
    ((billed,),) = platform.rows("SELECT sum((to_ms - from_ms) * gpus) FROM usage_window WHERE kind = 'used'")
    ((ready, until),) = platform.rows("SELECT ready_at_ms, bill_until_ms FROM gpu_session")
    assert billed == until - ready == HOUR - platform.balance()
    assert ledger.audit(platform.deps) == []

"""What a guard's report sets in motion: proof of life, leases, losses, orphans, warnings; and its absence."""

from __future__ import annotations

import pytest
from session_kit import MINUTE, WALLET

from controller.errors import BadInput
from controller.services.reports import reconcile
from controller.services.sessions import expiry, warnings
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
HOUR = 60 * MINUTE


@pytest.fixture
def running(platform):
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    return view.id


def slot_of(platform):
    ((slot,),) = platform.rows("SELECT slot_id FROM gpu_session")
    return slot


def state(platform):
    ((found,),) = platform.rows("SELECT state FROM gpu_session")
    return found


def test_a_report_renews_the_lease_with_the_slots_token(platform, running):
    platform.clock.advance(10_000)
    answer = platform.report()
    ((token,),) = platform.rows("SELECT fencing_token FROM slot")
    lease = {
        "slot": slot_of(platform),
        "until_ms": platform.clock.now_ms() + 15 * MINUTE,
        "fencing_token": token,
    }
    now = platform.clock.now_ms()
    nothing = {"stop": [], "warnings": [], "clocks": [], "measure": False}
    assert answer == {"leases": [lease], **nothing, "next_ms": 2000, "now_ms": now}


def test_the_next_report_comes_right_after_the_balance_is_used_up(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(HOUR - 700)
    assert platform.report()["next_ms"] == 750
    platform.clock.advance(750)
    platform.report()
    assert expiry.expire(platform.deps) == 1
    assert state(platform) == "grace"
    assert platform.report()["next_ms"] == 2000


def test_a_lease_never_passes_the_end_of_grace(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(HOUR)
    expiry.expire(platform.deps)
    platform.pass_time(110 * MINUTE)
    ((until,),) = platform.rows("SELECT grace_until_ms FROM gpu_session")
    assert platform.report()["leases"][0]["until_ms"] == until < platform.clock.now_ms() + 15 * MINUTE


def test_a_container_nobody_knows_is_stopped(platform, running):
    stray = {"slot": "s-0123456789ab", "container_id": "x", "state": "running", "started_at_ms": 1}
    answer = platform.report(slots=[stray, platform.provisioner.seen(slot_of(platform))])
    assert answer["stop"] == ["s-0123456789ab"]


def test_a_container_of_an_ended_session_is_an_orphan(platform, running):
    seen = platform.provisioner.seen(slot_of(platform))
    sessions.end(platform.deps, WALLET, running)
    platform.work()
    assert platform.report(slots=[seen])["stop"] == [seen["slot"]]


def test_a_lost_container_is_billed_to_its_last_proof_of_life(platform, running):
    platform.pass_time(10 * MINUTE)
    platform.clock.advance(90_000)
    platform.provisioner.containers.clear()
    platform.report()
    assert state(platform) == "ending"
    platform.work()
    assert (state(platform), platform.gpus()) == ("ended", {"free": 8})
    assert platform.balance() == HOUR - 10 * MINUTE
    saved = sessions.saved(platform.deps, WALLET)
    assert saved is not None
    assert saved.reason == "the desktop stopped unexpectedly"
    assert "billed to its last sign of life" in saved.advice


def test_what_the_engine_says_about_an_end_is_no_proof_of_life(platform, running):
    """After a reboot or a killed engine the instant it names is the one at which it came back."""
    platform.pass_time(10 * MINUTE)
    seen = platform.provisioner.seen(slot_of(platform))
    died = platform.clock.now_ms() + 30_000
    platform.clock.advance(90_000)
    platform.report(slots=[{**seen, "state": "exited", "finished_at_ms": died}])
    platform.provisioner.containers.clear()
    platform.work()
    assert platform.balance() == HOUR - 10 * MINUTE


def test_another_container_in_our_slot_proves_nothing(platform, running):
    platform.pass_time(MINUTE)
    platform.clock.advance(MINUTE)
    seen = platform.provisioner.seen(slot_of(platform))
    platform.report(slots=[{**seen, "container_id": "other"}])
    assert state(platform) == "ending"


def test_a_list_made_before_the_container_ends_nothing(platform, running):
    platform.report(slots=[])
    assert state(platform) == "running"


def test_a_stop_that_does_not_come_through_is_helped_by_the_guard(platform, running):
    platform.provisioner.fail_stops = 99
    sessions.end(platform.deps, WALLET, running)
    platform.work()
    assert platform.report()["stop"] == []
    platform.clock.advance(31_000)
    assert platform.report()["stop"] == [slot_of(platform)]


def test_warnings_travel_until_they_are_delivered(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(58 * MINUTE)
    warnings.warn(platform.deps)
    (warning,) = platform.report()["warnings"]
    assert (warning["slot"], warning["urgency"]) == (slot_of(platform), "critical")
    assert "3 minutes" in warning["text"]
    assert platform.report()["warnings"] == [warning]
    assert platform.report(delivered=[warning["id"]])["warnings"] == []


def test_a_guard_cannot_answer_for_another_hosts_desktops(platform, running):
    platform.add_host("second", gpus=1)
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(58 * MINUTE)
    warnings.warn(platform.deps)
    (warning,) = platform.report()["warnings"]
    ((before,),) = platform.rows("SELECT last_alive_ms FROM slot")
    platform.clock.advance(9_000)
    answer = platform.report("second", delivered=[warning["id"]])
    assert answer["leases"] == []
    ((after,),) = platform.rows("SELECT last_alive_ms FROM slot")
    assert after == before
    assert platform.report()["warnings"] == [warning]


@pytest.mark.parametrize(
    "change",
    [
        {"host": "nobody"},
        {"at_ms": 0},
        {"at_ms": "now"},
        {"slots": [{"slot": "../../etc", "state": "running"}]},
        {"slots": [{"slot": "s-0123456789ab", "state": "dancing"}]},
        {"delivered": ["x"]},
    ],
)
def test_malformed_reports_are_refused(platform, change):
    with pytest.raises(BadInput):
        platform.report(**change)


def test_a_silent_host_is_lost_probed_and_then_comes_back(platform, running):
    platform.report()
    platform.clock.advance(16_000)
    reconcile.reconcile(platform.deps)
    assert platform.rows("SELECT state FROM host") == [("lost",)]
    assert sessions.heartbeat(platform.deps, WALLET, running).silent_ms == 16_000, "its page says so"
    ((alive,),) = platform.rows("SELECT last_alive_ms FROM slot")
    platform.work()
    ((probed,),) = platform.rows("SELECT last_alive_ms FROM slot")
    assert probed == alive + 16_000, "the probe is proof of life as well"
    reconcile.reconcile(platform.deps)
    assert platform.work() == 0, "one probe a minute"
    platform.report()
    assert platform.rows("SELECT state FROM host") == [("ready",)]


def test_a_probe_finds_a_lost_container(platform, running):
    platform.pass_time(MINUTE)
    platform.clock.advance(20_000)
    platform.provisioner.containers.clear()
    reconcile.reconcile(platform.deps)
    platform.work()
    assert (state(platform), platform.balance()) == ("ended", HOUR - MINUTE)


def test_without_any_word_the_session_ends_when_its_lease_has_run_out(platform, running, monkeypatch):
    sessions.detach(platform.deps, WALLET, running)
    platform.pass_time(MINUTE)
    platform.clock.advance(15 * MINUTE + 10_001)
    reconcile.reconcile(platform.deps)
    assert state(platform) == "ending"
    platform.provisioner.containers.clear()
    platform.work()
    assert (state(platform), platform.balance()) == ("ended", HOUR - MINUTE)

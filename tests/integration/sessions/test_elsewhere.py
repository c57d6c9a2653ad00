"""Starts that fail for their host's reasons: another host, or the old place in the queue; never a bill."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import make_settings
from session_kit import MINUTE, OTHER, WALLET

from controller.services.reports import reconcile
from controller.services.sessions import facade as sessions
from controller.services.sessions import start_failures

pytestmark = pytest.mark.integration
HOUR = 60 * MINUTE
ELSEWHERE = {"code": "docker_error", "message": "the engine said no", "retry": "elsewhere"}


def session(platform, wallet=WALLET):
    view = sessions.current(platform.deps, wallet)
    return None if view is None else view


def host_of(platform):
    return platform.rows("SELECT s.host FROM gpu_session g JOIN slot s ON s.id = g.slot_id")[0][0]


def tried(platform):
    return [
        h for (h,) in platform.rows("SELECT host FROM run WHERE playbook = 'session_start.yml' ORDER BY id")
    ]


def test_another_host_is_tried_at_once(platform):
    platform.add_host("second")
    platform.provisioner.fail_starts = [ELSEWHERE]
    sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    view = session(platform)
    assert view is not None
    assert (view.state, host_of(platform), tried(platform)) == ("running", "second", ["local", "second"])
    assert platform.gpus() == {"free": 15, "leased": 1}
    assert platform.balance() == HOUR, "the failed start cost nothing"


def test_the_only_host_is_tried_again_after_a_rest_and_the_person_reads_why(platform):
    platform.provisioner.fail_starts = [ELSEWHERE | {"code": "disk_full"}]
    claimed = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    waiting = session(platform)
    assert waiting is not None
    assert (waiting.state, waiting.queue_position) == ("queued", 1)
    assert waiting.queue_reason == "the GPU host's disk is full; another start follows"
    assert waiting.claimed_at_ms == claimed.claimed_at_ms, "it keeps its place"
    assert (platform.held(), platform.gpus()) == (MINUTE, {"free": 8})
    platform.clock.advance(start_failures.REST_MS)
    platform.work()
    running = session(platform)
    assert running is not None
    assert (running.state, running.id) == ("running", claimed.id)
    assert platform.held() == 0


def test_a_claim_that_came_later_does_not_overtake_its_place(platform):
    # Under `promise` the later one would not start at all: the earlier one's promise is in its way.
    first_fit = make_settings(queue={"policy": "first-fit"})
    platform.deps = replace(platform.deps, settings=first_fit)
    platform.add_host("second", gpus=1)
    platform.credit(WALLET, 600)
    platform.credit(OTHER, 600)
    platform.provisioner.fail_starts = [ELSEWHERE]
    first = sessions.claim(platform.deps, WALLET, "max")
    platform.work()
    sessions.claim(platform.deps, OTHER, "max")
    platform.provisioner.fail_starts = [ELSEWHERE]
    platform.work()
    platform.clock.advance(start_failures.REST_MS)
    platform.work()
    view = session(platform)
    assert view is not None
    assert (view.id, view.state) == (first.id, "running")


def test_it_gives_up_after_a_few_and_says_why(platform):
    platform.provisioner.fail_starts = [ELSEWHERE | {"code": "image_missing"}] * 9
    view = sessions.claim(platform.deps, WALLET, "small")
    for _ in range(start_failures.MAX_PLACES):
        platform.work()
        platform.clock.advance(start_failures.REST_MS)
    assert len(tried(platform)) == start_failures.MAX_PLACES
    saved = sessions.saved(platform.deps, WALLET)
    assert saved is not None
    assert saved.reason == "the desktop image is missing on the GPU host"
    assert (platform.held(), platform.balance(), platform.gpus()) == (0, HOUR, {"free": 8})
    assert platform.rows("SELECT state FROM gpu_session WHERE id = :i", i=view.id) == [("failed",)]
    assert {s for (s,) in platform.rows("SELECT state FROM slot")} == {"gone"}


def test_the_old_slots_stop_does_not_end_the_new_start(platform):
    """The first host cannot be stopped for a while; the session ends on the second meanwhile."""
    platform.add_host("second")
    platform.provisioner.fail_starts = [ELSEWHERE]
    platform.provisioner.fail_stops = 3
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    running = session(platform)
    assert running is not None
    assert (running.state, platform.gpus()) == ("running", {"free": 14, "leased": 2})
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()
    for _ in range(4):
        platform.clock.advance(MINUTE)
        platform.work()
    assert session(platform) is None
    assert platform.gpus() == {"free": 16}
    events = platform.rows("SELECT event FROM session_event WHERE session_id = :i ORDER BY id", i=view.id)
    assert [e for (e,) in events] == [
        "claimed", "started", "requeued", "started", "ready", "ending", "ended",
    ]  # fmt: skip


def test_leaving_the_queue_after_a_failed_start_returns_the_hold(platform):
    platform.provisioner.fail_starts = [ELSEWHERE]
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()
    assert (session(platform), platform.held(), platform.gpus()) == (None, 0, {"free": 8})


def test_a_start_that_kills_its_workers_is_given_up(platform):
    from controller.services.runs import orders as runs
    from controller.services.runs import work as run_work

    sessions.claim(platform.deps, WALLET, "small")
    for _ in range(run_work.MAX_ATTEMPTS):
        assert runs.take(platform.deps, "doomed") is not None
        platform.clock.advance(runs.LEASE_MS + 1)
    platform.work()
    view = session(platform)
    assert view is not None
    assert (view.state, view.queue_reason) == (
        "queued",
        "the start broke off several times; another start follows",
    )


def test_a_dead_host_does_not_keep_its_person(platform):
    """Its desktop is billed to the last proof; the session is over once the lease is, the GPUs stay taken."""
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.detach(platform.deps, WALLET, view.id)
    platform.pass_time(MINUTE)
    platform.provisioner.fail_stops = 99
    platform.clock.advance(15 * MINUTE + 10_001)
    reconcile.reconcile(platform.deps)
    platform.work()
    reconcile.reconcile(platform.deps)
    assert session(platform) is None
    assert platform.balance() == HOUR - MINUTE
    assert platform.gpus() == {"free": 7, "leased": 1}
    assert platform.rows("SELECT kind, sum(to_ms - from_ms) FROM usage_window GROUP BY kind") == [
        ("used", MINUTE)
    ]
    platform.add_host("second")
    assert sessions.claim(platform.deps, WALLET, "small").state == "starting"
    platform.provisioner.fail_stops = 0
    platform.clock.advance(2 * MINUTE)
    platform.work()
    assert platform.gpus()["leased"] == 1, "the dead host came back: its GPU is free again"


def test_a_stop_that_fails_again_and_again_alerts_and_the_alert_goes(platform):
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    platform.provisioner.fail_stops = 6
    sessions.end(platform.deps, WALLET, view.id)
    alerts = "SELECT subject, why FROM operator_alert WHERE kind = 'stop-fails' AND cleared_at_ms IS NULL"
    for _ in range(6):
        platform.work()
        platform.clock.advance(MINUTE)
    ((subject, why),) = platform.rows(alerts)
    assert why == f"{subject} on local: docker_error, 6 times"
    assert platform.gpus() == {"free": 7, "leased": 1}
    platform.work()
    assert (platform.rows(alerts), platform.gpus()) == ([], {"free": 8})

"""Claiming: who may, what it takes, and that one GPU is never given to two."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from session_kit import MINUTE, OTHER, WALLET, make_platform

from controller.errors import NotEnoughCredit, NotYours, ProfileTooLarge, SessionAlreadyLive, UnknownProfile
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration


def test_a_claim_with_free_gpus_starts_and_becomes_a_running_desktop(platform):
    view = sessions.claim(platform.deps, WALLET, "medium")
    assert (view.state, view.gpus, view.queue_position) == ("starting", 2, None)
    assert platform.held() == 2 * MINUTE
    assert platform.gpus() == {"free": 6, "leased": 2}
    assert view.stage == "Waiting for a worker"
    assert platform.work() == 1
    now = sessions.current(platform.deps, WALLET)
    assert now is not None
    assert (now.state, now.billed_gpu_ms, now.ready_at_ms) == ("running", 0, platform.clock.now_ms())
    assert platform.held() == 0, "the hold is given back once the meter runs"
    events = platform.rows("SELECT event FROM session_event ORDER BY id")
    assert [e for (e,) in events] == ["claimed", "started", "ready"]


def test_the_request_to_the_host_is_complete(platform):
    sessions.claim(platform.deps, WALLET, "large", fresh_start=True)
    platform.work()
    ((playbook, request),) = platform.provisioner.requests
    assert playbook == "session_start.yml"
    from controller.host.request import parse_start

    parsed = parse_start(request)
    assert (parsed.home, parsed.fresh_start, parsed.simulated) == (WALLET, True, True)
    assert (len(parsed.gpus), parsed.cpus, parsed.memory_mib) == (4, 4.0, 8192)


def test_unknown_profile(platform):
    with pytest.raises(UnknownProfile):
        sessions.claim(platform.deps, WALLET, "huge")


def test_no_credit_and_too_little_credit(platform):
    platform.credit(OTHER, 0)
    with pytest.raises(NotEnoughCredit):
        sessions.claim(platform.deps, OTHER, "small")
    platform.credit(OTHER, 7)
    with pytest.raises(NotEnoughCredit) as refused:
        sessions.claim(platform.deps, OTHER, "max")
    assert refused.value.detail == {"needed_gpu_ms": 8 * MINUTE, "available_gpu_ms": 7 * MINUTE}
    assert platform.rows("SELECT 1 FROM gpu_session") == []


def test_twice_at_once_is_one_session(platform):
    first = sessions.claim(platform.deps, WALLET, "small")
    with pytest.raises(SessionAlreadyLive) as refused:
        sessions.claim(platform.deps, WALLET, "small")
    assert refused.value.detail == {"session_id": first.id}


def test_a_profile_that_no_host_can_hold_is_refused_with_that_reason(database):
    platform = make_platform(database)
    platform.credit(WALLET, 60)
    with pytest.raises(ProfileTooLarge, match="No GPU host is registered"):
        sessions.claim(platform.deps, WALLET, "small")
    platform.add_host(gpus=4)
    platform.add_host("second", gpus=4)
    with pytest.raises(ProfileTooLarge, match="Max needs 8 GPUs on one host; the largest host has 4"):
        sessions.claim(platform.deps, WALLET, "max")
    views = {p.name: p for p in sessions.profiles(platform.deps, WALLET)}
    assert not views["max"].possible
    assert views["large"].possible
    assert (views["large"].usd_per_hour_text, views["large"].lasts_minutes) == ("$4.00", 15)
    assert sessions.profiles(platform.deps, None)[0].lasts_minutes is None


def test_nobody_else_sees_or_ends_a_session(platform):
    view = sessions.claim(platform.deps, WALLET, "small")
    for act in (sessions.end, sessions.heartbeat, sessions.attach, sessions.stream, sessions.close):
        with pytest.raises(NotYours):
            act(platform.deps, OTHER, view.id)
    assert sessions.current(platform.deps, OTHER) is None


def claim_at_once(platform, wallets, profile):
    """Every wallet claims at the same moment; returns what each got, views or errors."""
    barrier = threading.Barrier(len(wallets))
    got = {}

    def one(wallet):
        barrier.wait()
        try:
            got[wallet] = sessions.claim(platform.deps, wallet, profile)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            got[wallet] = error

    threads = [threading.Thread(target=one, args=(w,)) for w in wallets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def test_twenty_parallel_claims_for_eight_gpus(platform):
    wallets = [f"0x{i:040x}" for i in range(1, 21)]
    for wallet in wallets:
        platform.credit(wallet, 60)
    platform.deps = replace(platform.deps, new_id=unique_ids())
    got = claim_at_once(platform, wallets, "small")
    states = sorted(view.state for view in got.values())
    assert states == ["queued"] * 12 + ["starting"] * 8
    assert platform.gpus() == {"leased": 8}
    held = platform.rows("SELECT slot_id, count(*) FROM gpu GROUP BY slot_id")
    assert len(held) == 8
    assert {count for _, count in held} == {1}
    positions = sorted(sessions.current(platform.deps, w).queue_position or 0 for w in wallets)
    assert positions == [0] * 8 + list(range(1, 13))


def test_one_wallet_claiming_in_parallel_gets_one_session(platform):
    platform.deps = replace(platform.deps, new_id=unique_ids())
    barrier, got = threading.Barrier(6), []

    def one():
        barrier.wait()
        try:
            got.append(sessions.claim(platform.deps, WALLET, "small").state)
        except SessionAlreadyLive as error:
            got.append(error.code)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["session_already_live"] * 5 + ["starting"]
    assert platform.held() == MINUTE


def test_the_constraint_alone_refuses_a_second_live_session(platform):
    sessions.claim(platform.deps, WALLET, "small")
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError, match="uq_gpu_session_live_wallet"):
        platform.rows(
            "INSERT INTO gpu_session SELECT 'copy', wallet, kind, profile, gpus, state, detached,"
            " fresh_start, why, NULL, generation, claimed_at_ms FROM gpu_session RETURNING id"
        )


def unique_ids():
    lock, numbers = threading.Lock(), iter(range(10**6))

    def new_id():
        with lock:
            return f"id-{next(numbers)}"

    return new_id

"""Hosts are drained, removed and given up; sessions go on, homes are sent away or go on from a replica."""

from __future__ import annotations

from typing import Any

import pytest
from session_kit import MINUTE, WALLET, Platform, make_platform

from controller.errors import NotYours, WrongState
from controller.services.homes import actions as home_actions
from controller.services.hosts import fleet
from controller.services.queue import claims
from controller.services.reports import reconcile
from controller.services.sessions import ends


@pytest.fixture
def platform(database: Any) -> Platform:
    """Two hosts of one GPU, both reporting."""
    made = make_platform(database)
    for name in ("one", "two"):
        made.add_host(name, 1)
        made.report(name, slots=[])
    made.credit(WALLET, 600)
    return made


def start(platform: Platform) -> str:
    claimed = claims.claim(platform.deps, WALLET, "small")
    platform.work()
    return claimed.id


def stop(platform: Platform, session_id: str) -> None:
    ends.end(platform.deps, WALLET, session_id)
    platform.work()


def used_on_one(platform: Platform) -> None:
    """A home on host one, a replica of it on two."""
    fleet.drain(platform.deps, "two")
    first = start(platform)
    fleet.resume(platform.deps, "two")
    stop(platform, first)


def home(platform: Platform) -> tuple[Any, ...]:
    return tuple(platform.rows("SELECT host, generation, base FROM home")[0])


def silence(platform: Platform, gone: str, other: str) -> None:
    """Only the other host reports; until the leases of the silent one are long over."""
    for _ in range(80):
        platform.clock.advance(20_000)
        platform.report(other, slots=[])
        reconcile.reconcile(platform.deps)
    (row,) = platform.rows("SELECT state FROM host WHERE name = :n", n=gone)
    assert row.state == "lost"


def test_a_drained_host_keeps_its_session_and_gets_no_other(platform: Platform) -> None:
    fleet.drain(platform.deps, "two")
    running = start(platform)
    found = fleet.drain(platform.deps, "one")
    assert (found.state, found.sessions) == ("draining", 1)
    platform.clock.advance(MINUTE)
    platform.report("one")
    assert fleet.standing(platform.deps, "one").sessions == 1
    stop(platform, running)
    waiting = claims.claim(platform.deps, WALLET, "small")
    platform.work()
    assert platform.rows("SELECT state FROM gpu_session WHERE id = :s", s=waiting.id)[0].state == "queued"
    fleet.resume(platform.deps, "one")
    platform.work()
    assert platform.rows("SELECT state FROM gpu_session WHERE id = :s", s=waiting.id)[0].state == "running"


def test_a_drain_outlives_a_silence(platform: Platform) -> None:
    fleet.drain(platform.deps, "one")
    silence(platform, "one", "two")
    platform.report("one", slots=[])
    assert fleet.standing(platform.deps, "one").state == "draining"


def test_remove_sends_the_homes_away_first(platform: Platform) -> None:
    used_on_one(platform)
    with pytest.raises(WrongState, match="drain it first"):
        fleet.remove(platform.deps, "one")
    fleet.drain(platform.deps, "one")
    found = fleet.remove(platform.deps, "one")
    assert (found.state, found.homes, found.homes_moving) == ("draining", 1, 1)
    platform.work()
    assert home(platform) == ("two", 1, "g1")
    assert fleet.remove(platform.deps, "one").state == "removed"
    with pytest.raises(NotYours):
        fleet.standing(platform.deps, "one")


def put_away(platform: Platform) -> None:
    used_on_one(platform)
    home_actions.prune(platform.deps, WALLET, "operator")
    platform.work()
    fleet.drain(platform.deps, "one")


def test_a_home_that_was_put_away_is_sent_away_too_and_recovered_where_it_is_then(platform: Platform) -> None:
    put_away(platform)
    assert fleet.remove(platform.deps, "one").homes_moving == 1
    platform.work()
    assert home(platform) == ("two", 1, "put-away-g1")
    assert platform.provisioner.moves[-1][2]["close"] is True
    assert fleet.remove(platform.deps, "one").state == "removed"
    home_actions.recover(platform.deps, WALLET)
    platform.work()
    asked = [r for p, r in platform.provisioner.requests if p == "home_change.yml"][-1]
    assert (asked["what"], asked["generation"], asked["base"]) == ("recover", 1, "put-away-g1")
    assert platform.rows("SELECT state, host FROM home") == [("live", "two")]


def test_a_home_that_was_put_away_and_cannot_be_sent_is_recovered_where_it_was(platform: Platform) -> None:
    put_away(platform)
    refused = {"code": "disk_full", "message": "no space", "retry": "stop"}
    platform.provisioner.fail_moves = [refused]
    fleet.remove(platform.deps, "one")
    platform.work()
    assert home(platform) == ("one", 2, "put-away"), "its host has closed it for the generation before"
    assert fleet.remove(platform.deps, "one").homes_moving == 1, "and it is tried again"


def test_a_home_that_was_put_away_on_a_dead_host_is_recovered_from_its_replica(platform: Platform) -> None:
    put_away(platform)
    replica = platform.provisioner.moves[-1][2]["name"]
    silence(platform, "one", "two")
    assert fleet.give_up(platform.deps, "one")[1] == []
    home_actions.recover(platform.deps, WALLET)
    platform.work()
    asked = [r for p, r in platform.provisioner.requests if p == "home_change.yml"][-1]
    assert (asked["what"], asked["generation"], asked["base"]) == ("recover", 2, replica)
    assert platform.rows("SELECT state, host FROM home") == [("live", "two")]


def test_a_dead_host_is_given_up_and_the_home_goes_on_from_its_replica(platform: Platform) -> None:
    used_on_one(platform)
    replica = platform.provisioner.moves[-1][2]["name"]
    fleet.drain(platform.deps, "two")
    start(platform)
    fleet.resume(platform.deps, "two")
    with pytest.raises(WrongState, match="only a lost host"):
        fleet.give_up(platform.deps, "one")
    platform.provisioner.fail_stops = 99
    billed = platform.balance()
    silence(platform, "one", "two")
    found, left = fleet.give_up(platform.deps, "one")
    assert (found.state, left) == ("removed", [])
    assert platform.balance() >= billed - MINUTE, "billed to the last proof of life, not for the silence"
    assert home(platform) == ("two", 2, replica)
    platform.provisioner.fail_stops = 0
    start(platform)
    started = [r for p, r in platform.provisioner.requests if p == "session_start.yml"][-1]
    assert (started["home_generation"], started["home_base"]) == (2, replica)
    assert started["gpus"] == ["SIM-two-0"]
    assert platform.gpus() == {"leased": 1, "quarantined": 1}


def test_a_home_without_a_replica_is_named_and_not_forgotten(platform: Platform) -> None:
    fleet.drain(platform.deps, "two")
    session = start(platform)
    stop(platform, session)
    fleet.resume(platform.deps, "two")
    silence(platform, "one", "two")
    _, left = fleet.give_up(platform.deps, "one")
    assert left == [WALLET]
    assert home(platform)[0] == "one"

"""Homes on a file system that all hosts share: on every host, written to from one at a time, never sent."""

from __future__ import annotations

from typing import Any

import pytest
from session_kit import MINUTE, WALLET, Platform, make_platform

from controller.domain.storage_fee import HOUR_MS
from controller.errors import WrongState
from controller.services.homes import actions as home_actions
from controller.services.homes import storage_bills
from controller.services.homes import views as home_views
from controller.services.hosts import demand, fleet, registry
from controller.services.queue import claims
from controller.services.reports import reconcile
from controller.services.sessions import ends

pytestmark = pytest.mark.integration
SHARED = {"shared": "files.example.org:/homes"}
GB = 10**9


@pytest.fixture(params=["promise", "first-fit"])
def platform(database: Any, request: pytest.FixtureRequest) -> Platform:
    """Two hosts of one GPU, both reporting; their homes are the same."""
    made = make_platform(database, storage=SHARED, queue={"policy": request.param})
    for name in ("one", "two"):
        made.add_host(name, 1)
        made.report(name, slots=[])
    made.credit(WALLET, 600)
    return made


def start(platform: Platform) -> str:
    claimed = claims.claim(platform.deps, WALLET, "small")
    platform.work()
    return claimed.id


def state(platform: Platform, session: str) -> str:
    return str(platform.rows("SELECT state FROM gpu_session WHERE id = :s", s=session)[0].state)


def used_on_one(platform: Platform) -> None:
    fleet.drain(platform.deps, "two")
    session = start(platform)
    fleet.resume(platform.deps, "two")
    ends.end(platform.deps, WALLET, session)
    platform.work()


def home(platform: Platform) -> tuple[Any, ...]:
    return tuple(platform.rows("SELECT host, generation, base FROM home")[0])


def pass_silence(platform: Platform, ms: int) -> None:
    """Only host two reports."""
    for _ in range(ms // 10_000):
        platform.clock.advance(10_000)
        platform.report("two", slots=[])
        reconcile.reconcile(platform.deps)


def moves(platform: Platform) -> int:
    return sum(playbook == "home_move.yml" for playbook, _ in platform.provisioner.requests)


def test_a_session_starts_on_any_host_and_its_home_is_there(platform: Platform) -> None:
    used_on_one(platform)
    assert home(platform) == ("one", 0, "")
    fleet.drain(platform.deps, "one")
    assert state(platform, start(platform)) == "running"
    started = [r for p, r in platform.provisioner.requests if p == "session_start.yml"][-1]
    assert (started["gpus"], started["home_generation"], started["home_base"]) == (["SIM-two-0"], 1, "")
    assert home(platform) == ("two", 1, ""), "host one is fenced by the generation"
    assert moves(platform) == 0, "nothing was sent, no replica is kept"


def test_a_drained_host_leaves_no_home_behind(platform: Platform) -> None:
    used_on_one(platform)
    found = fleet.drain(platform.deps, "one")
    assert (found.homes, found.homes_moving) == (0, 0)
    assert {load.homes for load in demand.demand(platform.deps).hosts} == {0}
    assert fleet.remove(platform.deps, "one").state == "removed"
    reconcile.reconcile(platform.deps)
    assert home(platform) == ("two", 1, "")
    home_actions.prune(platform.deps, WALLET, "operator")
    platform.work()
    assert platform.rows("SELECT state, host FROM home") == [("pruned", "two")]
    assert moves(platform) == 0


def test_a_home_stays_fenced_on_a_lost_host_until_the_lease_there_has_run_out(platform: Platform) -> None:
    used_on_one(platform)
    fleet.drain(platform.deps, "two")
    session = start(platform)
    fleet.resume(platform.deps, "two")
    platform.provisioner.fail_stops = 999
    pass_silence(platform, 2 * MINUTE)
    ends.end(platform.deps, WALLET, session)
    platform.work()
    reconcile.reconcile(platform.deps)
    with pytest.raises(WrongState):
        fleet.give_up(platform.deps, "one")
    assert home(platform)[0] == "one"
    with pytest.raises(Exception, match="session"):
        claims.claim(platform.deps, WALLET, "small")
    pass_silence(platform, 16 * MINUTE)
    assert home(platform) == ("two", 1, ""), "its desktop is dead by now, and the home goes on"
    assert state(platform, start(platform)) == "running"
    assert fleet.give_up(platform.deps, "one")[1] == []


def test_a_start_that_broke_off_on_a_silent_host_is_not_made_beside_itself(platform: Platform) -> None:
    """The answer was lost, not the desktop: it may write until its lease has run out."""
    used_on_one(platform)
    fleet.drain(platform.deps, "two")
    lost = {"code": "host_unreachable", "message": "no answer", "retry": "elsewhere"}
    platform.provisioner.fail_starts, platform.provisioner.fail_stops = [lost], 999
    session = start(platform)
    fleet.resume(platform.deps, "two")
    pass_silence(platform, 2 * MINUTE)
    platform.work()
    assert state(platform, session) == "queued", "host two is free, and must not have it"
    assert home(platform)[0] == "one"
    with pytest.raises(WrongState, match="may write to homes"):
        fleet.give_up(platform.deps, "one")
    pass_silence(platform, 15 * MINUTE)
    platform.work()
    assert state(platform, session) == "running"
    assert home(platform)[0] == "two"


def test_no_snapshots_and_no_quota_are_claimed(platform: Platform) -> None:
    used_on_one(platform)
    shown = home_views.home(platform.deps, WALLET)
    assert shown is not None
    assert (shown.is_shared, shown.snapshots_most, shown.quota_bytes) == (True, 0, 0)
    for order in (
        lambda: home_actions.snapshot(platform.deps, WALLET),
        lambda: home_actions.restore(platform.deps, WALLET, "s-1"),
        lambda: home_actions.drop(platform.deps, WALLET, "s-1"),
    ):
        with pytest.raises(WrongState, match="No snapshots are kept here"):
            order()


def test_storage_is_charged_by_what_one_host_counts(platform: Platform) -> None:
    used_on_one(platform)
    answer = platform.report("one", slots=[], homes={WALLET: 20 * GB})
    assert answer["quotas"]["default"] == 0
    before = platform.balance()
    for _ in range(4):
        platform.clock.advance(HOUR_MS // 2)
        platform.report("two", slots=[], homes={WALLET: 90 * GB})
        platform.report("one", slots=[], homes={WALLET: 20 * GB})
    while storage_bills.bill(platform.deps):
        pass
    charged = before - platform.balance()
    assert 0 < charged <= 2 * MINUTE, "the other host sees the same home, and it is not charged twice"


def test_a_host_whose_homes_lie_on_its_own_disk_takes_nobody(platform: Platform) -> None:
    """A home made there would be missing on all other hosts."""
    own_disk = {"engine": "28.0", "homes_mounted": True, "homes_btrfs": True}
    for name in ("one", "two"):
        platform.report(name, slots=[], health=own_disk | {"homes_btrfs": name == "one"})
    fleet.drain(platform.deps, "two")
    session = start(platform)
    assert state(platform, session) == "queued"
    fleet.resume(platform.deps, "two")
    platform.work()
    assert (state(platform, session), home(platform)[0]) == ("running", "two")
    seen = registry.show(platform.deps, "one")
    assert seen.state == "draining"
    assert "its homes lie on its own disk, not on the shared file system" in seen.problems

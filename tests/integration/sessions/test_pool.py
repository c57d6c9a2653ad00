"""The pool of waiting desktops: filled behind everybody's back, claimed by exactly one, gone when it must be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from session_kit import MINUTE, OTHER, WALLET, Platform, make_platform
from sqlmodel import select

from controller.models import Slot
from controller.services.pool import fill as pool_fill
from controller.services.pool import waiting as pool
from controller.services.queue import claims
from controller.services.reports import guard_reports, reconcile
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work
from controller.services.sessions import ends
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration


@pytest.fixture
def platform(database: Any) -> Platform:
    made = make_platform(database, pool={"small": 2, "medium": 1, "memory_mib": 2048})
    made.add_host()
    made.credit(WALLET, 60)
    made.credit(OTHER, 60)
    return made


def fill(platform: Platform) -> int:
    """Let the pool fill itself until it wants no more."""
    steps = 0
    while pool_fill.fill(platform.deps):
        platform.work()
        steps += 1
    return steps


def states(platform: Platform) -> dict[str, int]:
    return dict(platform.rows("SELECT state, count(*) FROM slot GROUP BY state"))


def waiting(platform: Platform) -> list[pool.Waiting]:
    with platform.deps.database.begin() as db:
        return pool.list_waiting(db)


def last_start(platform: Platform) -> dict[str, Any]:
    return next(
        request for playbook, request in reversed(platform.provisioner.requests) if "start" in playbook
    )


def test_it_fills_by_priority_and_leases_nothing(platform: Platform) -> None:
    assert fill(platform) == 3
    there = waiting(platform)
    assert [one.profile for one in there] == ["small", "small", "medium"]
    assert {one.state for one in there} == {"waiting"}
    assert platform.gpus() == {"free": 8}
    gpus = [gpu for one in there for gpu in one.gpus]
    assert len(set(gpus)) == 4, "where there is room, nothing waits on the same GPUs"


def test_nothing_of_a_person_goes_into_it(platform: Platform) -> None:
    fill(platform)
    for _, request in platform.provisioner.requests:
        assert (request["home"], request["session"], request["fresh_start"], request["warm"]) == (
            "",
            "",
            False,
            True,
        )
        assert WALLET not in str(request)


def test_one_at_a_time(platform: Platform) -> None:
    assert pool_fill.fill(platform.deps) == 1
    assert pool_fill.fill(platform.deps) == 0
    assert states(platform) == {"intended": 1}


def test_a_claim_takes_one_of_its_size(platform: Platform) -> None:
    fill(platform)
    mine = next(one for one in waiting(platform) if one.profile == "medium")
    session = claims.claim(platform.deps, WALLET, "medium")
    platform.work()
    request = last_start(platform)
    assert (request["slot"], request["home"], request["session"]) == (mine.slot, WALLET, session.id)
    assert request["gpus"] == mine.gpus
    assert request["warm"]
    assert sessions.current(platform.deps, WALLET).state == "running"  # type: ignore[union-attr]
    assert [one.profile for one in waiting(platform)] == ["small", "small"]
    assert platform.gpus() == {"free": 6, "leased": 2}


def test_what_overlaps_is_removed(platform: Platform) -> None:
    """Several wait on the same GPUs; whoever leases one of those GPUs removes all but its own."""
    platform = _crowded(platform)
    fill(platform)
    assert len({gpu for one in waiting(platform) for gpu in one.gpus}) == 2
    claims.claim(platform.deps, WALLET, "small")
    platform.work()
    left = waiting(platform)
    assert [one.profile for one in left] == ["small"]
    assert states(platform) == {"gone": 1, "up": 1, "warm": 1}
    assert platform.rows("SELECT retired_why FROM warm_desktop WHERE retired_why IS NOT NULL") == [
        ("its GPUs were claimed",)
    ]


def _crowded(platform: Platform) -> Platform:
    with platform.deps.database.begin() as db:
        db.connection().exec_driver_sql("DELETE FROM gpu WHERE index > 1")
    return platform


def test_a_cold_claim_leaves_waiting_desktops_alone_where_it_can(platform: Platform) -> None:
    fill(platform)
    claims.claim(platform.deps, WALLET, "large")
    platform.work()
    assert len(waiting(platform)) == 3
    assert not last_start(platform)["warm"]


def test_an_empty_pool_is_a_cold_start(platform: Platform) -> None:
    claims.claim(platform.deps, WALLET, "small")
    platform.work()
    assert not last_start(platform)["warm"]
    assert sessions.current(platform.deps, WALLET).state == "running"  # type: ignore[union-attr]


def test_nobody_waits_for_filling(platform: Platform) -> None:
    """A start comes first in the run queue, and while it is under way nothing is filled."""
    pool_fill.fill(platform.deps)
    claims.claim(platform.deps, WALLET, "large")
    assert pool_fill.fill(platform.deps) == 0
    taken = runs.take(platform.deps, "test")
    assert taken is not None
    assert taken.session is not None
    run_work.work(platform.deps, platform.provisioner, taken)
    second = runs.take(platform.deps, "test")
    assert second is not None
    assert second.session is None


def test_nothing_is_filled_while_somebody_queues(platform: Platform) -> None:
    claims.claim(platform.deps, WALLET, "max")
    platform.work()
    claims.claim(platform.deps, OTHER, "small")
    assert pool_fill.fill(platform.deps) == 0


def test_a_stop_that_fails_for_long_does_not_keep_the_pool_empty(platform: Platform) -> None:
    session = claims.claim(platform.deps, WALLET, "large")
    platform.work()
    platform.provisioner.fail_stops = 9
    ends.end(platform.deps, WALLET, session.id)
    platform.work()
    assert pool_fill.fill(platform.deps) == 1


@pytest.mark.parametrize("claimers", [2, 8])
def test_parallel_claims_get_one_each(platform: Platform, claimers: int) -> None:
    fill(platform)
    wallets = [f"0x{i:040x}" for i in range(1, claimers + 1)]
    for wallet in wallets:
        platform.credit(wallet, 60)
    with ThreadPoolExecutor(claimers) as threads:
        made = list(threads.map(lambda wallet: claims.claim(platform.deps, wallet, "small"), wallets))
    platform.work()
    rows = platform.rows(
        "SELECT s.slot_id, w.slot_id IS NOT NULL FROM gpu_session s LEFT JOIN warm_desktop w USING (slot_id)"
    )
    assert len({slot for slot, _ in rows}) == len(made) == claimers
    assert sum(warm for _, warm in rows) == 2
    assert platform.rows("SELECT count(*) FROM gpu WHERE state = 'leased'") == [(claimers,)]


def test_a_desktop_is_used_once(platform: Platform) -> None:
    fill(platform)
    session = claims.claim(platform.deps, WALLET, "small")
    platform.work()
    slot = last_start(platform)["slot"]
    ends.end(platform.deps, WALLET, session.id)
    platform.work()
    assert platform.rows("SELECT state FROM slot WHERE id = :slot", slot=slot) == [("gone",)]
    claims.claim(platform.deps, OTHER, "small")
    platform.work()
    assert last_start(platform)["slot"] != slot
    assert last_start(platform)["home"] == OTHER


def test_a_lost_claim_run_starts_cold_in_the_same_slot(platform: Platform) -> None:
    fill(platform)
    claims.claim(platform.deps, WALLET, "small")
    platform.provisioner.containers.clear()
    platform.work()
    assert sessions.current(platform.deps, WALLET).state == "running"  # type: ignore[union-attr]


def test_guards_keep_what_waits(platform: Platform) -> None:
    fill(platform)
    platform.clock.advance(14 * MINUTE)
    answer = platform.report()
    assert {lease["slot"] for lease in answer["leases"]} == {one.slot for one in waiting(platform)}
    assert answer["stop"] == []
    platform.clock.advance(14 * MINUTE)
    platform.report()
    pool_fill.fill(platform.deps)
    assert len(waiting(platform)) == 3


def test_a_lost_desktop_is_removed_and_replaced(platform: Platform) -> None:
    fill(platform)
    gone = waiting(platform)[0].slot
    platform.clock.advance(10_000)
    platform.provisioner.containers.pop(gone)
    platform.report()
    assert gone not in {one.slot for one in waiting(platform)}
    platform.work()
    fill(platform)
    assert len(waiting(platform)) == 3


def test_a_silent_hosts_desktops_are_not_given_to_anybody(platform: Platform) -> None:
    fill(platform)
    platform.report()
    platform.clock.advance(16 * MINUTE)
    reconcile.reconcile(platform.deps)
    with platform.deps.database.begin() as db:
        assert pool.usable(platform.deps, db) == {}
    pool_fill.fill(platform.deps)
    assert waiting(platform) == []


@pytest.mark.parametrize(
    ("section", "change", "why"),
    [
        ("sessions", {"image_id": "sha256:" + "1" * 64}, "made from another image"),
        ("sessions", {"memory_mib_per_gpu": 1024}, "made with other settings"),
        ("pool", {"small": 0, "medium": 0}, "more than the pool is to hold"),
    ],
)
def test_what_no_longer_fits_is_replaced(platform: Platform, section: str, change: Any, why: str) -> None:
    fill(platform)
    settings = platform.deps.settings
    changed = settings.model_copy(update={section: getattr(settings, section).model_copy(update=change)})
    platform.deps = replace(platform.deps, settings=changed)
    claims.claim(platform.deps, WALLET, "small")
    assert (
        not platform.rows("SELECT 1 FROM warm_desktop WHERE claimed_at_ms IS NOT NULL") or section == "pool"
    )
    platform.work()
    pool_fill.fill(platform.deps)
    assert (why,) in platform.rows("SELECT DISTINCT retired_why FROM warm_desktop")


def test_an_old_desktop_is_replaced(platform: Platform) -> None:
    fill(platform)
    first = {one.slot for one in waiting(platform)}
    for _ in range(60):
        platform.clock.advance(13 * MINUTE)
        platform.report()
    pool_fill.fill(platform.deps)
    platform.work()
    fill(platform)
    assert len(waiting(platform)) == 3
    assert not first & {one.slot for one in waiting(platform)}


def test_a_failed_fill_is_cleared_and_rests(platform: Platform) -> None:
    platform.provisioner.fail_starts.append({"code": "no_memory", "retry": "elsewhere"})
    pool_fill.fill(platform.deps)
    platform.work()
    assert waiting(platform) == []
    assert states(platform) == {"gone": 1}
    assert pool_fill.fill(platform.deps) == 0
    platform.clock.advance(pool_fill.REST_MS + 1)
    assert pool_fill.fill(platform.deps) == 1


def test_the_memory_cap_holds(database: Any) -> None:
    platform = make_platform(database, pool={"small": 8, "memory_mib": 2 * pool_fill.GUESS_MIB})
    platform.add_host()
    assert fill(platform) == 2


def test_a_draining_host_is_emptied(platform: Platform) -> None:
    fill(platform)
    with platform.deps.database.begin() as db:
        db.connection().exec_driver_sql("UPDATE host SET state = 'draining'")
    pool_fill.fill(platform.deps)
    platform.work()
    assert waiting(platform) == []
    assert states(platform) == {"gone": 3}


def test_a_stop_that_fails_is_tried_again(platform: Platform) -> None:
    fill(platform)
    platform.provisioner.fail_stops = 1
    with platform.deps.database.begin() as db:
        slot, warm = pool.rows(db)[0]
        pool.retire(db, slot, warm, "test", platform.clock.now_ms())
    platform.work()
    assert states(platform)["stopping"] == 1
    platform.clock.advance(2_000)
    platform.work()
    assert states(platform) == {"gone": 1, "warm": 2}


def test_an_operators_report_of_a_stranger_changes_nothing(platform: Platform) -> None:
    """A frozen container of the pool is known: a guard is never told to stop it."""
    fill(platform)
    answer = guard_reports.report(
        platform.deps,
        {
            "host": "local",
            "at_ms": platform.clock.now_ms(),
            "slots": [platform.provisioner.seen(one.slot) for one in waiting(platform)],
        },
    )
    assert answer["stop"] == []
    with platform.deps.database.begin() as db:
        assert {slot.state for slot in db.exec(select(Slot))} == {"warm"}

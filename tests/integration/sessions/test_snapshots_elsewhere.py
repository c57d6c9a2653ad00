"""A home has moved on and its owner returns to a snapshot that stayed behind: it is brought, or it is said why not."""

from __future__ import annotations

from typing import Any

import pytest
from session_kit import WALLET, Platform, make_platform

from controller.errors import HomeNotReady, WrongState
from controller.services.homes import actions as home_actions
from controller.services.homes import moves as home_moves
from controller.services.homes import views as home_views
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration


@pytest.fixture
def platform(database: Any) -> Platform:
    """A home on host two, a snapshot of it on host one."""
    made = make_platform(database)
    made.add_host("one", 1)
    made.credit(WALLET, 600)
    view = sessions.claim(made.deps, WALLET, "small")
    made.work()
    sessions.end(made.deps, WALLET, view.id)
    made.work()
    home_actions.snapshot(made.deps, WALLET, "before")
    made.work()
    made.add_host("two", 1)
    with made.deps.database.begin() as db:
        home_moves.evacuate(db, "one", made.clock.now_ms())
    made.work()
    assert made.rows("SELECT host, base FROM home") == [("two", "g1")]
    made.clock.advance(1)
    return made


def kept(platform: Platform) -> list[tuple[str, bool]]:
    shown = home_views.home(platform.deps, WALLET)
    assert shown is not None
    return [(one.why, one.here) for one in shown.snapshots]


def only(platform: Platform) -> str:
    ((name,),) = platform.rows("SELECT name FROM home_snapshot")
    return str(name)


def orders(platform: Platform) -> list[tuple[Any, ...]]:
    asked = "SELECT input ->> 'what', host FROM run WHERE playbook = 'home_change.yml' ORDER BY id"
    return [tuple(row) for row in platform.rows(asked)]


def test_it_is_brought_returned_to_and_gone_from_where_it_was(platform: Platform) -> None:
    name = only(platform)
    assert kept(platform) == [("before", False)]
    home_actions.restore(platform.deps, WALLET, name)
    for what in (home_actions.snapshot, lambda d, w: home_actions.restore(d, w, name)):
        with pytest.raises(HomeNotReady):
            what(platform.deps, WALLET)
    with pytest.raises(HomeNotReady):
        sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    source, target, asked = platform.provisioner.moves[-1]
    assert (source, target, asked["name"], asked["close"]) == ("one", "two", name, False)
    assert orders(platform) == [("snapshot", "one"), ("drop", "one"), ("restore", "two")]
    assert kept(platform) == [(f"before the return to {name}", True), ("before", True)]
    assert platform.rows("SELECT state, host, generation FROM home") == [("live", "two", 1)]


def test_one_that_cannot_be_brought_leaves_everything_as_it_was_and_says_so(platform: Platform) -> None:
    platform.provisioner.fail_moves = [{"code": "home_missing", "message": "not here", "retry": "stop"}]
    home_actions.restore(platform.deps, WALLET, only(platform))
    platform.work()
    assert kept(platform) == [("before", False)]
    assert platform.rows("SELECT state FROM home") == [("live",)]
    shown = home_views.home(platform.deps, WALLET)
    assert shown is not None
    assert (shown.events[0].event, shown.events[0].detail) == ("restore_failed", {"error": "home_missing"})
    assert sessions.claim(platform.deps, WALLET, "small").state == "starting"


def test_one_on_a_host_that_does_not_answer_is_refused_by_name(platform: Platform) -> None:
    platform.rows("UPDATE host SET state = 'lost' WHERE name = 'one' RETURNING name")
    with pytest.raises(WrongState, match="lies on one, which does not answer; your files are on two"):
        home_actions.restore(platform.deps, WALLET, only(platform))
    assert platform.rows("SELECT state FROM home") == [("live",)]


def test_not_under_a_session(platform: Platform) -> None:
    platform.rows("UPDATE host SET state = 'draining' WHERE name = 'one' RETURNING name")
    sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    with pytest.raises(WrongState, match="End your session first"):
        home_actions.restore(platform.deps, WALLET, only(platform))


def test_a_snapshot_that_was_brought_is_no_replica(platform: Platform) -> None:
    home_actions.restore(platform.deps, WALLET, only(platform))
    platform.work()
    platform.rows("UPDATE host SET state = 'lost' WHERE name = 'two' RETURNING name")
    with platform.deps.database.begin() as db:
        assert home_moves.adopt_replica(db, WALLET)
    assert platform.rows("SELECT host, base FROM home") == [("one", "g1")], "what the move before left there"

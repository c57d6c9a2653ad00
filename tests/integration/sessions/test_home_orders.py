"""Homes whose wallets run out, and what owners order: never silent, never under a session, never the wrong home."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from session_kit import MINUTE, WALLET, Platform, make_platform
from test_storage import DAY, GB, HOUR, audited, counted, lie

from controller.cli import homes
from controller.errors import (
    BadInput,
    HomeNotReady,
    HomePutAway,
    NoHome,
    NotYours,
    WrongState,
)
from controller.services.homes import actions as home_actions
from controller.services.homes import moves as home_moves
from controller.services.homes import storage_life
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
SIZE = 400 * GB  # 20 minutes an hour: 8 hours a day's worth of a wallet with little
REFUSED = {"code": "home_fenced", "message": "no", "retry": "stop"}


@pytest.fixture
def home(platform: Platform) -> Platform:
    """A home that was just left."""
    platform.provisioner.start_ms = 0
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()
    counted(platform, SIZE)
    return platform


def state(platform: Platform) -> str:
    return str(platform.rows("SELECT state FROM home")[0][0])


def events(platform: Platform) -> list[str]:
    return [row.event for row in platform.rows("SELECT event FROM home_event ORDER BY id")]


def orders(platform: Platform) -> list[tuple[str, int]]:
    return [(r["what"], r["token"]) for name, r in platform.provisioner.requests if name == "home_change.yml"]


def starve(platform: Platform) -> None:
    """Warned at once, at the floor on the fourth day."""
    assert storage_life.look(platform.deps) == 1
    lie(platform, 4 * DAY, SIZE)


def test_it_is_warned_first_and_put_away_days_later_and_says_so(home: Platform) -> None:
    assert storage_life.look(home.deps) == 1
    assert storage_life.look(home.deps) == 0
    lie(home, 2 * DAY + 23 * HOUR, SIZE)
    assert storage_life.look(home.deps) == 0
    lie(home, DAY, SIZE)
    assert home.balance() == -1_440 * MINUTE
    assert storage_life.look(home.deps) == 1
    assert state(home) == "pruning"
    with pytest.raises(HomePutAway):
        home_actions.snapshot(home.deps, WALLET)
    home.work()
    assert (state(home), events(home)) == ("pruned", ["warned", "prune"])
    before = home.balance()
    lie(home, DAY, SIZE)
    assert home.balance() == before
    assert audited(home) == []


def test_a_sudden_debt_is_no_reason_to_put_away_without_notice(home: Platform) -> None:
    home.clock.advance(MINUTE)
    with home.deps.database.begin() as db:
        db.connection().exec_driver_sql(
            "UPDATE account SET debits = credits + 90000000, floored = false WHERE code LIKE 'user:%%'"
        )
    storage_life.look(home.deps)
    assert (state(home), events(home)) == ("live", ["warned"])
    lie(home, 2 * DAY, SIZE)
    storage_life.look(home.deps)
    assert state(home) == "live"


def test_a_home_in_use_is_never_put_away_and_its_desktop_is_told(database: Any) -> None:
    platform = make_platform(database, storage={"billed": "always"})
    platform.add_host()
    platform.credit(WALLET, 600)
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.detach(platform.deps, WALLET, view.id)
    platform.clock.advance(11 * MINUTE)
    counted(platform, 3_000 * GB)
    storage_life.look(platform.deps)
    storage_life.look(platform.deps)
    warnings = [w["text"] for w in platform.report()["warnings"]]
    assert [w for w in warnings if "put away" in w] == [
        "In 3 days your files are put away for storage. Top up, or delete what you do not need."
    ]
    with platform.deps.database.begin() as db:
        db.connection().exec_driver_sql(
            "UPDATE account SET debits = credits + 90000000, floored = false WHERE code LIKE 'user:%%'"
        )
    platform.clock.advance(4 * DAY)
    assert storage_life.look(platform.deps) == 0
    assert state(platform) == "live"
    for what in (home_actions.restore, home_actions.delete):
        with pytest.raises((WrongState, NotYours)):
            what(platform.deps, WALLET, WALLET)


def test_a_topped_up_wallet_gets_its_home_back_by_itself(home: Platform) -> None:
    starve(home)
    storage_life.look(home.deps)
    home.work()
    assert state(home) == "pruned"
    home.credit(WALLET, 1_000)
    assert storage_life.look(home.deps) == 0  # still in debt
    with pytest.raises(WrongState, match="Top up"):
        home_actions.recover(home.deps, WALLET)
    home.credit(WALLET, 1_000)
    with pytest.raises(HomePutAway):
        sessions.claim(home.deps, WALLET, "small")
    assert storage_life.look(home.deps) == 1
    with pytest.raises(HomeNotReady):
        sessions.claim(home.deps, WALLET, "small")
    home.work()
    assert (state(home), events(home)[-1]) == ("live", "recover")
    before = home.balance()
    lie(home, HOUR + MINUTE, SIZE)
    assert before - home.balance() == 20 * MINUTE
    assert sessions.claim(home.deps, WALLET, "small").state == "starting"
    assert audited(home) == []


def test_after_its_time_it_is_deleted_and_the_next_session_begins_with_nothing(home: Platform) -> None:
    starve(home)
    storage_life.look(home.deps)
    home.work()
    home.clock.advance(7 * DAY)
    assert storage_life.look(home.deps) == 1
    home.work()
    assert (state(home), events(home)[-1]) == ("gone", "delete")
    home.credit(WALLET, 3_000)
    sessions.claim(home.deps, WALLET, "small")
    home.work()
    (_, request) = next(r for r in reversed(home.provisioner.requests) if r[0] == "session_start.yml")
    assert (request["home_generation"], request["home_base"]) == (1, "new")
    assert home.rows("SELECT state, base, bytes_used FROM home") == [("live", "", 0)]
    assert audited(home) == []


def test_a_warning_ends_with_a_top_up(home: Platform) -> None:
    storage_life.look(home.deps)
    home.credit(WALLET, 10_000)
    assert storage_life.look(home.deps) == 1
    assert events(home) == ["warned", "warning_over"]


def test_snapshots_are_kept_and_returned_to(home: Platform) -> None:
    first = home_actions.snapshot(home.deps, WALLET, "before the big change")
    with pytest.raises(HomeNotReady):
        home_actions.snapshot(home.deps, WALLET)
    home.work()
    home.clock.advance(1)
    with pytest.raises(NotYours):
        home_actions.restore(home.deps, WALLET, "s-1")
    home_actions.restore(home.deps, WALLET, first)
    with pytest.raises(HomeNotReady):
        sessions.claim(home.deps, WALLET, "small")
    home.work()
    kept = [row.name for row in home.rows("SELECT name FROM home_snapshot ORDER BY created_at_ms")]
    assert kept == [first, f"s-{home.clock.now_ms()}"]
    home_actions.drop(home.deps, WALLET, first)
    home.work()
    assert home.rows("SELECT name FROM home_snapshot") == [(kept[1],)]
    assert orders(home) == [("snapshot", 1), ("restore", 2), ("drop", 3)]


def test_no_more_snapshots_than_allowed(home: Platform) -> None:
    for _ in range(8):
        home_actions.snapshot(home.deps, WALLET)
        home.work()
        home.clock.advance(1)
    with pytest.raises(WrongState, match="as many snapshots"):
        home_actions.snapshot(home.deps, WALLET)


def test_an_order_that_fails_leaves_the_home_as_it_was_and_says_so(home: Platform) -> None:
    home.provisioner.fail_orders = [REFUSED]
    home_actions.delete(home.deps, WALLET, WALLET)
    home.work()
    assert (state(home), events(home)) == ("live", ["delete_failed"])
    assert [a.kind for a in home.rows("SELECT kind FROM operator_alert")] == ["home-order-fails"]
    home_actions.delete(home.deps, WALLET, WALLET.upper().replace("X", "x"))
    home.work()
    assert state(home) == "gone"
    assert home.rows("SELECT count(*) FROM operator_alert WHERE cleared_at_ms IS NULL") == [(0,)]


def test_a_deleted_home_leaves_every_host_and_is_never_opened_again(database: Any) -> None:
    platform = make_platform(database)
    for name in ("one", "two"):
        platform.add_host(name, 1)
    platform.credit(WALLET, 600)
    with pytest.raises(NoHome):
        home_actions.delete(platform.deps, WALLET, WALLET)
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()  # a replica is made
    with pytest.raises(BadInput):
        home_actions.delete(platform.deps, WALLET, "yes")
    home_actions.delete(platform.deps, WALLET, WALLET)
    with pytest.raises(HomeNotReady):
        sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    assert orders(platform) == [("delete", 1), ("delete", 2)]
    assert {r.host for r in platform.rows("SELECT host FROM run WHERE playbook = 'home_change.yml'")} == {
        "one",
        "two",
    }
    with platform.deps.database.begin() as db:
        assert not home_moves.evacuate(db, "one", platform.clock.now_ms())


def test_nothing_is_ordered_while_a_home_moves(database: Any) -> None:
    platform = make_platform(database)
    for name in ("one", "two"):
        platform.add_host(name, 1)
    platform.credit(WALLET, 600)
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()
    ((host,),) = platform.rows("SELECT host FROM home")
    with platform.deps.database.begin() as db:
        home_moves.evacuate(db, host, platform.clock.now_ms())
    for what in (home_actions.snapshot, lambda d, w: home_actions.delete(d, w, w)):
        with pytest.raises(HomeNotReady):
            what(platform.deps, WALLET)


def test_operators_see_homes_and_order(home: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "connect", lambda: home.deps)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(homes.homes, [*words, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert CliRunner().invoke(homes.homes, ["show", WALLET], catch_exceptions=False).exit_code == 0
        assert " GB" in CliRunner().invoke(homes.homes, ["list"], catch_exceptions=False).output
        return json.loads(done.stdout)

    (line,) = run("list")["homes"]
    assert (line["wallet"], line["bytes_used"], line["days_left"]) == (WALLET, SIZE, 3)
    name = run("snapshot", WALLET)["name"]
    home.work()
    home.clock.advance(1)
    assert run("restore", WALLET, name)["ordered"] == "restore"
    home.work()
    run("prune", WALLET)
    home.work()
    assert storage_life.look(home.deps) == 0  # an operator's doing is not taken back by itself
    shown = run("show", WALLET)
    assert (shown["state"], len(shown["snapshots"])) == ("pruned", 2)
    assert [e["event"] for e in shown["events"]] == ["prune", "restore", "snapshot"]
    run("recover", WALLET)
    home.work()
    with pytest.raises(BadInput):
        run("delete", WALLET, "--confirm", "no")
    run("delete", WALLET, "--confirm", WALLET)
    home.work()
    assert run("show", WALLET)["state"] == "gone"

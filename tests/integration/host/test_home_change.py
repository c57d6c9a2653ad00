"""Orders about homes on a real btrfs: what they keep, what they refuse, and that a late one changes nothing."""

import pytest
from test_home_usage import MIB, WALLET, write
from test_home_usage import place as _place

from controller.host import home_fence, home_open, home_snapshots, home_usage
from controller.host.homes import ensure

pytestmark = pytest.mark.integration
place = _place


@pytest.fixture
def order(place):
    ensure(place.config, WALLET)
    (place.config.homes_dir / WALLET / "work").write_text("first")
    count = iter(range(1, 100))

    def give(what, **more):
        body = {"instance": place.config.instance, "home": WALLET, "what": what, "token": next(count)}
        return place.call("home-change", body | {"generation": 0, "base": "", "name": "", "keep": ""} | more)

    return give


def home(place):
    return place.config.homes_dir / WALLET


def kept(place):
    return set(home_snapshots.listed(home_fence.folder(place.config.homes_dir, WALLET)))


def test_a_snapshot_is_returned_to_and_what_was_there_is_kept(place, order):
    assert order("snapshot", name="s-1")["ok"]
    (home(place) / "work").write_text("second")
    assert order("restore", name="s-1", keep="s-2")["changed"]
    assert (home(place) / "work").read_text() == "first"
    assert home(place).stat().st_uid == place.config.session_uid
    assert order("restore", name="s-2", keep="s-3")["ok"]
    assert (home(place) / "work").read_text() == "second"
    assert order("drop", name="s-1")["ok"]
    assert kept(place) == {"s-2", "s-3"}
    assert order("restore", name="s-1", keep="s-4")["code"] == "bad_input"
    home_snapshots.keep_only(home_fence.folder(place.config.homes_dir, WALLET), set())
    assert kept(place) == {"s-2", "s-3"}  # moves leave an owner's snapshots alone


def test_an_order_is_carried_out_once_and_never_late(place, order):
    assert order("snapshot", name="s-1", token=5)["changed"]
    (home(place) / "work").write_text("second")
    assert order("restore", name="s-1", keep="s-2", token=6)["changed"]
    (home(place) / "work").write_text("third")
    assert order("restore", name="s-1", keep="s-2", token=6) == {"ok": True, "changed": False}
    assert order("delete", token=4)["code"] == "stale_token"
    assert (home(place) / "work").read_text() == "third"


def test_put_away_and_brought_back(place, order):
    write(home(place), 3)
    assert order("prune")["ok"]
    assert not home(place).exists()
    assert home_usage.measure(place.config.homes_dir)[WALLET] > 3 * MIB
    assert order("recover")["ok"]
    assert (home(place) / "work").read_text() == "first"
    (home(place) / "work").write_text("writable")
    assert kept(place) == set()


def test_nothing_is_taken_from_under_a_session(place, order):
    place.started(home=WALLET)
    for what, more in (("prune", {}), ("delete", {}), ("restore", {"name": "s-1", "keep": "s-2"})):
        assert order(what, **more)["code"] == "volume_busy"
    assert order("snapshot", name="s-1")["ok"]
    assert (home(place) / "work").read_text() == "first"


def test_a_deleted_home_leaves_nothing_and_a_new_one_is_empty(place, order):
    order("snapshot", name="s-1")
    before = home_usage.group(place.config.homes_dir, WALLET)
    assert order("delete")["ok"]
    assert not home(place).exists()
    assert kept(place) == set()
    assert not (place.config.homes_dir / ".host-keys" / WALLET).exists()
    ensure(place.config, WALLET, 1, home_open.NEW)
    assert list(home(place).iterdir()) == []
    assert home_usage.group(place.config.homes_dir, WALLET) != before
    assert order("delete", generation=0)["code"] == "home_fenced"


def test_a_home_of_a_time_before_is_not_opened_for_who_begins_anew(place, order):
    ensure(place.config, WALLET, 3, home_open.NEW)
    assert list(home(place).iterdir()) == []


@pytest.mark.parametrize("name", ["", "g1", "../s-1", "s-1/x", "put-away"])
def test_names_are_those_of_snapshots(order, name):
    assert order("drop", name=name)["code"] == "bad_input"

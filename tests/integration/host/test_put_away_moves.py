"""What was put away, or kept by its owner, goes to another host and is whole there: two btrfs volumes, as root."""

import pytest
from test_home_moves import WALLET, carry, fill, tree
from test_home_moves import hosts as _hosts
from test_home_moves import volumes as _volumes

from controller.host import home_fence, home_snapshots

pytestmark = pytest.mark.integration
hosts, volumes = _hosts, _volumes


def order(place, what, token, generation, **more):
    asked = {"what": what, "token": token, "generation": generation, "base": "", "name": "", "keep": ""}
    return place.ask("home-change", **asked | more)


def test_a_home_that_was_put_away_travels_and_is_whole_where_it_is_brought_back(hosts):
    a, b = hosts
    fill(a.open(1, "new"), seed=3)
    before = tree(a.home)
    assert order(a, "prune", 1, 1)["ok"]
    assert carry(a, b, "put-away-g2", close=True, generation=2)[0]["ok"]
    assert order(a, "recover", 2, 1)["code"] == "home_fenced"
    assert order(b, "recover", 3, 2, base="put-away-g2")["changed"]
    assert tree(b.home) == before
    assert [name for name in b.ask("home-list")["snapshots"] if name.startswith("put-away")] == []
    assert b.open(2, "put-away-g2") == b.home, "a session opens it as it is"
    (b.home / "later").write_text("kept")
    assert order(b, "prune", 4, 2, base="put-away-g2")["ok"]
    assert carry(b, a, "put-away-g3", close=True, generation=3)[0]["ok"]
    assert order(a, "recover", 5, 3, base="put-away-g3")["ok"]
    assert (a.home / "later").read_text() == "kept", "and not what was put away there at first"


def test_a_home_that_was_put_away_and_stays_after_all_is_brought_back_from_there(hosts):
    a, b = hosts
    fill(a.open(1, "new"), seed=4)
    before = tree(a.home)
    assert order(a, "prune", 1, 1)["ok"]
    carry(a, b, "put-away-g2", close=True, generation=2, cut_after=4096)
    assert order(a, "recover", 2, 3, base="put-away")["ok"]
    assert tree(a.home) == before


def test_what_is_put_away_later_is_not_what_was_put_away_before(hosts):
    a, _ = hosts
    home = a.open(1, "new")
    (home / "work").write_text("first")
    where = home_fence.folder(a.config.homes_dir, WALLET)
    home_snapshots.take(home, where, "put-away")  # of a time before, left here
    (home / "work").write_text("second")
    assert order(a, "prune", 1, 1)["ok"]
    assert order(a, "recover", 2, 1)["ok"]
    assert (a.home / "work").read_text() == "second"


def test_a_home_that_was_put_away_on_a_dead_host_comes_back_from_its_replica(hosts):
    a, b = hosts
    fill(a.open(1, "new"), seed=5)
    before = tree(a.home)
    assert carry(a, b, "r7", generation=1)[0]["ok"]
    assert order(a, "prune", 1, 1)["ok"]
    assert order(b, "recover", 2, 3, base="r7")["ok"]
    assert tree(b.home) == before
    assert order(b, "recover", 3, 3, base="r7")["ok"], "asked again by another order nothing is lost"
    assert tree(b.home) == before


def test_a_snapshot_that_its_owner_kept_is_brought_as_it_was_and_never_made_up(hosts):
    a, b = hosts
    home = a.open(1, "new")
    fill(home, seed=6)
    before = tree(home)
    assert order(a, "snapshot", 1, 1, name="s-1")["ok"]
    (home / "later").write_text("not in it")
    assert carry(a, b, "g2", close=True, generation=2)[0]["ok"]
    assert b.open(2, "g2") == b.home
    assert carry(a, b, "s-1", generation=2)[0]["ok"]
    assert order(b, "restore", 2, 2, base="g2", name="s-1", keep="s-2")["ok"]
    assert tree(b.home) == before
    assert carry(a, b, "s-3", generation=2)[0]["code"] == "home_missing"

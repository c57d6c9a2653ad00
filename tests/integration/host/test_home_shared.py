"""Homes on a file system that all hosts share: two hosts see one folder, and one of them at a time may write."""

import itertools

import pytest
from hostkit import TestHost, run, write_config

from controller.guard.home_walk import AGAIN_MS, HomeWalk
from controller.host import firewall, home_fence, home_folder, home_tree, homes
from controller.host.home_change import change
from controller.host.home_open import NEW
from controller.host.home_request import ChangeRequest
from controller.host.words import HostRefused

pytestmark = pytest.mark.integration
WALLET = "0x" + "a1" * 20
MIB = 1 << 20


@pytest.fixture
def hosts(tmp_path):
    """Two hosts on which the same file system, which is not btrfs, is mounted."""
    made = []
    for name in ("one", "two"):
        place = tmp_path / name
        (place / "homes").mkdir(parents=True)
        if made:
            run("mount", "--bind", made[0].homes_dir, place / "homes")
        else:
            run("mount", "-t", "tmpfs", "files:/homes", place / "homes")
        made.append(write_config(place, "tshared", "10.219.0.0/20", place / "homes")[1])
    yield made
    for config in reversed(made):
        run("umount", config.homes_dir)


@pytest.fixture
def order(hosts):
    tokens = itertools.count(1)

    def give(what, host=0, generation=1, name=""):
        request = ChangeRequest("tshared", WALLET, what, next(tokens), generation, "", name, "s-2")
        return change(hosts[host], request)

    return give


def test_a_desktop_starts_on_either_host_with_its_home(hosts, tiny_image):
    """One after the other, as the controller has them: the second named for a later generation."""
    for generation, config in enumerate(hosts, start=1):
        host = TestHost(config, config.homes_dir.parent / "axonos.toml", tiny_image)
        base = NEW if generation == 1 else ""
        try:
            host.started(home=WALLET, home_generation=generation, home_base=base)
            (config.homes_dir / WALLET / f"seen-{generation}").touch()
            assert host.stop(token=2)["ok"]
        finally:
            host.clear()
    assert {path.name for path in (hosts[0].homes_dir / WALLET).glob("seen-*")} == {"seen-1", "seen-2"}
    firewall.remove("tshared")


def refusal(act, *args):
    with pytest.raises(HostRefused) as refused:
        act(*args)
    return refused.value.code


def where(config):
    return home_fence.folder(config.homes_dir, WALLET)


def walked(config, now_ms=0, pace=1000):
    return HomeWalk(config.homes_dir, lambda: now_ms, pace)


def test_a_home_is_opened_on_the_host_that_is_named_last_and_on_no_other(hosts):
    one, two = hosts
    (homes.ensure(one, WALLET) / "work").write_text("of host one")
    assert (homes.ensure(two, WALLET, 1) / "work").read_text() == "of host one"
    assert refusal(homes.ensure, one, WALLET, 0) == "home_fenced"
    assert (homes.ensure(one, WALLET, 2, "g1") / "work").read_text() == "of host one"
    assert refusal(homes.ensure, two, WALLET, 1) == "home_fenced"
    assert (one.homes_dir / WALLET).stat().st_uid == one.session_uid


def test_a_home_that_should_be_there_is_never_replaced_by_an_empty_one(hosts):
    one, two = hosts
    assert refusal(homes.ensure, two, WALLET, 1, "") == "home_missing"
    (homes.ensure(one, WALLET, 1, NEW) / "work").write_text("before")
    assert list(homes.ensure(two, WALLET, 2, NEW).iterdir()) == [], "its owner has begun anew"
    (kept,) = where(one).glob("lost-*")
    assert (kept / "work").read_text() == "before"


def test_put_away_on_one_host_and_brought_back_on_another(hosts, order):
    one, two = hosts
    (homes.ensure(one, WALLET, 1, NEW) / "work").write_text("kept")
    assert order("prune") == {"ok": True, "changed": True}
    assert not (two.homes_dir / WALLET).exists()
    assert refusal(homes.ensure, one, WALLET, 1) == "home_missing"
    assert order("recover", host=1, generation=2)["changed"]
    assert (homes.ensure(two, WALLET, 2) / "work").read_text() == "kept"
    assert refusal(order, "prune", 0, 1) == "home_fenced"


def test_no_snapshots_are_kept(hosts, order):
    homes.ensure(hosts[0], WALLET, 1, NEW)
    for what in ("snapshot", "restore", "drop"):
        assert refusal(order, what, 0, 1, "s-1") == "bad_input"


def test_a_deleted_home_is_taken_away_by_the_walk(hosts, order):
    one, two = hosts
    home = homes.ensure(one, WALLET, 1, NEW)
    (home / "folder").mkdir()
    (home / "folder" / "work").write_text("gone")
    outside = one.homes_dir / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (home / "link").symlink_to(outside)
    assert walked(two).step()[WALLET] > 0
    assert order("delete")["changed"]
    assert not home.exists()
    assert WALLET not in walked(two).step()
    assert not list(where(one).glob("deleted-*"))
    assert (outside / "file").exists(), "a link is no way out"


def test_what_a_home_takes_up_is_counted_once_for_all_hosts(hosts):
    one, two = hosts
    home = homes.ensure(one, WALLET, 1, NEW)
    (home / "data").write_bytes(bytes(3 * MIB))
    (home / "same").hardlink_to(home / "data")
    (home / "link").symlink_to("/")
    assert 3 * MIB <= walked(one).step()[WALLET] < 3.1 * MIB
    (home / "more").write_bytes(bytes(MIB))
    assert walked(two, AGAIN_MS - 1).step()[WALLET] < 3.1 * MIB, "the count of host one is young enough"
    assert 4 * MIB <= walked(two, AGAIN_MS).step()[WALLET] < 4.1 * MIB
    home_folder.put_away(home, where(one))
    assert 4 * MIB <= walked(one, 2 * AGAIN_MS).step()[WALLET] < 4.1 * MIB, "what is put away is kept"


def test_a_walk_is_a_step_at_a_time_and_the_last_count_stands_meanwhile(hosts):
    home = homes.ensure(hosts[0], WALLET, 1, NEW)
    now = [0]
    walk = HomeWalk(hosts[0].homes_dir, lambda: now[0], pace=100)
    before = walk.step()[WALLET]
    for number in range(250):
        (home / f"{number}").write_bytes(b"x")
    now[0] = AGAIN_MS
    assert walk.step() == walk.step() == {WALLET: before}
    other = walked(hosts[1], AGAIN_MS)
    assert other.step() == {WALLET: before}, "another host leaves it alone meanwhile, and says what is known"
    assert walk.step()[WALLET] > before


def test_the_deepest_folder_is_taken_away_too(tmp_path):
    top = tmp_path / "deleted-1"
    below = top
    for _ in range(3):
        below /= "/".join(["d"] * (home_tree.DEEPEST // 2))
        below.mkdir(parents=True)
    for _ in range(3):
        for left in list(tmp_path.iterdir()):
            assert all(step is None for step in home_tree.remove(left))
    assert list(tmp_path.iterdir()) == []

"""Homes are counted and limited by btrfs itself: with their snapshots, without replicas, whoever writes."""

import subprocess
from concurrent.futures import Future

import pytest
from hostkit import run

from controller.guard.homes import Homes
from controller.guard.report import Quotas
from controller.host import home_fence, home_open, home_snapshots, home_usage
from controller.host.homes import ensure

pytestmark = pytest.mark.integration
WALLET, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20
MIB = 1 << 20


@pytest.fixture
def place(host, homes):
    """Homes with quotas on, as the platform mounts them; empty again afterwards."""
    run("btrfs", "quota", "enable", homes)
    yield host
    for line in run("btrfs", "subvolume", "list", homes).splitlines():
        subprocess.run(["btrfs", "subvolume", "delete", homes / line.partition(" path ")[2]], check=False)
    subprocess.run(["rm", "-rf", homes / ".axonos"], check=True)
    run("btrfs", "quota", "disable", homes)


def write(path, mib, name="file"):
    path.joinpath(name).write_bytes(b"\0\1" * (mib * MIB // 2))
    run("sync", "-f", path)


def test_a_home_is_counted_with_its_snapshots_and_each_block_once(place, homes):
    home = homes / WALLET
    ensure(place.config, WALLET)
    ensure(place.config, OTHER)
    write(home, 10)
    where = home_fence.folder(homes, WALLET)
    counted = home_usage.measure(homes)
    assert 10 * MIB <= counted[WALLET] < 11 * MIB
    assert counted[OTHER] < MIB
    home_snapshots.take(home, where, "s-1")
    run("sync", "-f", home)
    assert home_usage.measure(homes)[WALLET] < 11 * MIB
    (home / "file").unlink()
    write(home, 5, "new")
    assert 15 * MIB <= home_usage.measure(homes)[WALLET] < 16 * MIB
    home_snapshots.take(home, where, "g7")  # a move's replica is not the owner's
    write(home, 20, "new")
    assert 30 * MIB <= home_usage.measure(homes)[WALLET] < 31 * MIB  # 5 of the replica are not in it
    home_usage.set_quotas(homes, 40 * MIB, {})
    write(home, 7, "more")  # nor do they count against the quota
    with pytest.raises(OSError, match="quota"):
        write(home, 7, "too much")


def test_the_quota_is_hard_for_new_and_old_homes(place, homes):
    ensure(place.config, WALLET)
    home_usage.set_quotas(homes, 20 * MIB, {})
    ensure(place.config, OTHER)  # made after the controller spoke
    for wallet in (WALLET, OTHER):
        with pytest.raises(OSError, match="quota"):
            write(homes / wallet, 30)
        assert home_usage.measure(homes)[wallet] <= 20 * MIB
        (homes / wallet / "file").unlink()
    home_usage.set_quotas(homes, 20 * MIB, {WALLET: 60 * MIB})
    write(homes / WALLET, 30)
    with pytest.raises(OSError, match="quota"):
        write(homes / OTHER, 30)


def test_a_home_from_before_there_were_counts_is_counted_too(place, homes):
    run("btrfs", "subvolume", "create", homes / WALLET)
    write(homes / WALLET, 3)
    assert 3 * MIB <= home_usage.measure(homes)[WALLET] < 4 * MIB


def test_a_home_that_came_from_a_replica_is_counted_in_the_end(place, homes):
    ensure(place.config, WALLET)
    write(homes / WALLET, 4)
    where = home_fence.folder(homes, WALLET)
    home_snapshots.take(homes / WALLET, where, "g1")
    home_open.open_(place.config, WALLET, 2, "g1")
    for _ in range(3):  # btrfs may have to count anew first, and says so: nothing is known meanwhile
        counted = home_usage.measure(homes)
        run("btrfs", "quota", "rescan", "-w", homes)
    assert 4 * MIB <= counted[WALLET] < 5 * MIB


def test_without_quotas_nothing_is_said(host, homes):
    ensure(host.config, WALLET)
    assert home_usage.measure(homes) == {}
    run("btrfs", "subvolume", "delete", homes / WALLET)


class AtOnce:
    """An executor that does it now."""

    def submit(self, act, *words):
        done = Future()
        done.set_result(act(*words))
        return done


def test_the_guard_counts_now_and_then_and_obeys(place, homes):
    now = [0]
    counting = Homes(place.config, lambda: now[0], AtOnce())
    ensure(place.config, WALLET)
    assert counting.counted() is None
    assert counting.counted().keys() == {WALLET}
    assert counting.counted() is None
    now[0] += 30_000
    counting.counted()
    assert counting.counted() is not None
    counting.limit(Quotas(5 * MIB, {}))
    with pytest.raises(OSError, match="quota"):
        write(homes / WALLET, 8)

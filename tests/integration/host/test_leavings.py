"""What crashes leave on a host: each is planted as a kill would leave it, and must be gone or harmless after."""

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from hostkit import run, slot_id

from controller.guard.loop import Guard
from controller.guard.report import Orders, Renewal
from controller.host import folder
from controller.host.leases import Leases
from controller.host.names import LABEL_INSTANCE, LABEL_SLOT

pytestmark = pytest.mark.integration
SLOT = slot_id(1)


class Silent:
    """A controller that knows nothing and wants nothing."""

    orders = Orders((), (), (), 2_000)

    def report(self, *_said, **_more):
        return self.orders


@pytest.fixture
def guard(host):
    made = Guard(host.config, Silent())
    yield made
    made.close()


def steps(guard, count):
    for _ in range(count):
        guard.step(woken=True)
        for future in guard._stops.values():
            future.result(30)


def make_network(host):
    labels = [f"--label={LABEL_INSTANCE}={host.config.instance}", f"--label={LABEL_SLOT}={SLOT}"]
    bridge = f"--opt=com.docker.network.bridge.name={host.slot().bridge(9)}"
    host.made.add(SLOT)
    run("docker", "network", "create", *labels, bridge, "--subnet=10.219.15.0/28", host.slot().network)


def test_a_network_without_lease_goes_at_the_second_sight(host, guard):
    make_network(host)
    steps(guard, 1)
    assert host.leavings() == {"network"}
    assert [one["state"] for one in host.probe()] == ["missing"]
    steps(guard, 1)
    assert host.leavings() == set()


def test_a_network_whose_start_is_under_way_stays(host, guard):
    make_network(host)
    with Leases(host.config.run_dir).locked(SLOT):
        host.started(2)
        steps(guard, 3)
    assert {"network"} <= host.leavings()
    assert "container" in host.leavings(2)


def test_a_bridge_without_network_goes_and_a_leased_one_stays(host, guard):
    host.started(2)
    orphan = host.slot().bridge(77)
    run("ip", "link", "add", orphan, "type", "bridge")
    steps(guard, 2)
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    assert orphan not in links
    assert host.slot(2).bridge(2) in links
    assert host.probe()[0]["state"] == "running"


def test_a_mounted_socket_folder_without_lease_goes(host, guard):
    folder.make(host.config, host.slot().folder)
    assert host.leavings() == {"folder", "mount"}
    steps(guard, 2)
    assert host.leavings() == set()


def test_what_a_killed_start_painted_does_not_pass_for_a_desktop(host):
    folder.make(host.config, host.slot().folder)
    ready = host.slot().folder / "ready"
    ready.write_text("{}")
    os.chown(ready, 7000, 7000)
    host.made.add(SLOT)
    host.home().mkdir()
    os.chown(host.home(), 7000, 7000)
    (host.home() / ".tiny").write_text("never")
    assert host.start(start_timeout_s=2)["code"] == "not_painted"


def test_a_desktop_that_had_ended_gives_no_proof_of_life(host):
    host.started()
    run("docker", "kill", host.slot().container)
    stopped = host.stop()
    assert (stopped["changed"], stopped["stopped_at_ms"]) == (True, None)


def test_a_start_whose_lease_ran_out_on_its_way_starts_nothing(host):
    assert host.start(lease_until_ms=round(time.time() * 1000) - 1)["code"] == "stale_token"
    assert host.leavings() == set()


def test_a_stale_start_that_fails_leaves_the_newer_ones_desktop_alone(host):
    """Two workers start one slot; the older one gives up on painting after the newer one took over."""
    host.home().mkdir()
    os.chown(host.home(), 7000, 7000)
    (host.home() / ".tiny").write_text("never")
    command = ["/usr/bin/env", *[str(w) for w in _host()], "start", "--config", str(host.config_path)]
    host.made.add(SLOT)
    older = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    older.stdin.write(json.dumps(host.request(start_timeout_s=3)).encode())
    older.stdin.close()
    deadline = time.monotonic() + 20
    while "running" not in [one["state"] for one in host.probe()]:
        assert time.monotonic() < deadline
    newer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    newer.stdin.write(json.dumps(host.request(start_timeout_s=20, fencing_token=2)).encode())
    newer.stdin.close()
    assert json.loads(older.stdout.read())["code"] == "not_painted"
    assert host.probe()[0]["state"] == "running"
    ready = host.slot().folder / "ready"
    ready.write_text("{}")
    os.chown(ready, 7000, 7000)
    assert json.loads(newer.stdout.read())["ok"]
    for process in (older, newer):
        process.stdout.close()
        process.wait(30)


def _host():
    from hostkit import HOST

    return HOST


@pytest.fixture
def full_disk(host, tmp_path):
    """The run folder on a file system of its own; `fill()` leaves no block free."""
    disk, mount = tmp_path / "run.ext4", host.config.run_dir
    run("fallocate", "-l", "8M", disk)
    run("mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", "-N", "512", disk)
    mount.mkdir()
    run("mount", "-o", "loop", disk, mount)

    def fill():
        with (mount / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 256)

    yield fill
    (mount / "filler").unlink(missing_ok=True)
    host.clear()
    run("umount", "--lazy", mount)


def test_a_full_disk_refuses_a_start_by_name_and_still_lets_a_desktop_stop(host, full_disk, guard):
    host.started(1)
    full_disk()
    refused = host.start(2)
    assert (refused["code"], refused["retry"]) == ("disk_full", "elsewhere")
    assert "lease" not in host.leavings(2)
    guard._controller.orders = Orders((Renewal(SLOT, 2**50, 1),), (), (), 2_000)
    steps(guard, 1)
    assert host.probe()[0]["state"] == "running", "a lease that cannot be written ends nobody's desktop"
    assert host.stop(1)["ok"]
    assert host.leavings(1) == set()
    assert host.start(1)["code"] == "stale_token", "its tombstone found room"
    assert list(Path(host.config.run_dir / "leases").glob("*.new")) == []


def test_a_desktop_whose_process_is_dead_is_not_running_whatever_the_engine_says(host, monkeypatch):
    """The engine takes milliseconds to learn of a death; the kernel knows."""
    from controller.host import probe
    from controller.host.engine import Engine

    host.started()
    with Engine(timeout_s=5) as engine:
        assert [one["state"] for one in probe.containers(host.config, engine)] == ["running"]
        child = subprocess.Popen(["/bin/true"])
        deadline = time.monotonic() + 20
        while probe._lives(child.pid):  # a zombie until it is waited for
            assert time.monotonic() < deadline
        real = probe._slot
        monkeypatch.setattr(probe, "_slot", lambda *words: real(*words) | {"pid": child.pid})
        (dead,) = probe.containers(host.config, engine)
        assert (dead["state"], "pid" in dead) == ("exited", False)
        child.wait()

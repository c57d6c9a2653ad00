"""The oracle finds what is planted, and imports nothing of the program it judges."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import crash_oracle as oracle
import psycopg
import pytest
from session_kit import MINUTE, WALLET, make_platform

from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
INFINITE = float("inf")


@pytest.mark.parametrize("name", ["crash_oracle.py", "crash_watcher.py"])
def test_it_imports_nothing_of_the_controller(name):
    tree = ast.parse((HERE / name).read_text())
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {m.split(".")[0] for m in modules if m} <= {
        *("__future__", "hashlib", "http", "json", "os", "re", "select", "socket", "subprocess", "threading"),
        *("time", "dataclasses", "pathlib", "typing", "urllib", "psycopg", "crash_oracle"),
    }


@pytest.fixture
def ran(database, database_url):
    """A session that ran a minute and was billed for it, and the DSN of its database."""
    platform = make_platform(database)
    platform.add_host()
    platform.credit(WALLET, 60)
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.detach(platform.deps, WALLET, view.id)
    platform.pass_time(MINUTE)
    return platform, view.id, database_url.replace("postgresql+psycopg", "postgresql")


def slot_of(platform):
    ((slot, index),) = platform.rows("SELECT id, subnet_index FROM slot")
    return slot, index


@pytest.fixture
def place(ran, tmp_path):
    _, _, dsn = ran
    homes = tmp_path / "homes"
    homes.mkdir()
    return oracle.Place("coracle", "/var/run/docker.sock", tmp_path / "run", homes, dsn)


def seen(platform, place):
    """The world, with the desktop that the fake host has in memory only."""
    world = oracle.look(place)
    for slot in platform.provisioner.containers:
        world.things.setdefault(slot, set()).add("container")
        world.running[slot] = "c"
    return world


def test_a_sound_world_has_nothing_to_tell(ran, place):
    platform, _, _ = ran
    world = seen(platform, place)
    assert (oracle.orphans(world), oracle.untrue(world), oracle.unsettled(world)) == ([], [], [])


def test_planted_leavings_are_found_each_by_its_kind(ran, place):
    platform, _, _ = ran
    lost = "s-0123456789ab"
    for folder in ("leases", "slots", "homes"):
        (place.run_dir / folder).mkdir(parents=True)
    (place.run_dir / "leases" / f"{lost}.json").write_text("{}")
    (place.run_dir / "homes" / lost).mkdir()
    folder = place.run_dir / "slots" / lost
    folder.mkdir()
    (place.homes / ("0x" + "9" * 40)).mkdir()
    bridge = f"{place.bridge_prefix}4000"
    labels = [f"--label=org.axonos.instance={place.instance}", f"--label=org.axonos.slot={lost}"]
    run = lambda *words: subprocess.run(words, check=True, capture_output=True)  # noqa: E731
    run("mount", "-t", "tmpfs", "axonos", folder)
    run("ip", "link", "add", bridge, "type", "bridge")
    run("docker", "network", "create", *labels, "--subnet=10.219.14.0/28", "axonos-coracle-x")
    try:
        found = oracle.orphans(seen(platform, place))
    finally:
        run("docker", "network", "rm", "axonos-coracle-x")
        run("ip", "link", "delete", bridge)
        run("umount", folder)
    assert found == [
        f"{lost}: homes folder, lease, mount, network, slots folder without a slot",
        "bridge 4000 without a slot",
        f"home 0x{'9' * 40} without a wallet",
    ]


def test_a_planted_container_is_found(ran, place):
    platform, _, _ = ran
    world = seen(platform, place)
    world.things["s-aaaaaaaaaaaa"] = {"container"}
    assert oracle.orphans(world) == ["s-aaaaaaaaaaaa: container without a slot"]


def test_a_slot_that_nobody_has_and_a_desktop_that_is_not_there_are_found(ran, place):
    platform, view, _ = ran
    slot, _ = slot_of(platform)
    platform.provisioner.containers.clear()
    assert oracle.untrue(seen(platform, place)) == [f"session {view} is running, its desktop is not"]
    platform.rows("UPDATE gpu_session SET state = 'ended' RETURNING id")
    assert oracle.orphans(seen(platform, place)) == [f"slot {slot} is up and nobody's"]


def test_a_gpu_of_a_slot_that_is_gone_is_found(ran, place):
    platform, _, _ = ran
    slot, _ = slot_of(platform)
    platform.rows("UPDATE slot SET state = 'gone' RETURNING id")
    assert f"a GPU is leased to slot {slot}, which is gone" in oracle.orphans(seen(platform, place))


def test_work_under_way_is_told_from_a_settled_world(ran, place):
    platform, view, _ = ran
    sessions.end(platform.deps, WALLET, view)
    found = oracle.unsettled(seen(platform, place))
    assert [line.rpartition(" is ")[2] for line in found] == ["ending", "stopping", "queued"]


def test_billed_time_without_a_living_process_is_counted_to_the_millisecond(ran):
    platform, view, dsn = ran
    slot, _ = slot_of(platform)
    ((start, end),) = platform.rows("SELECT from_ms, to_ms FROM usage_window")
    assert oracle.unproved(dsn, {slot: [(start - 5, INFINITE)]}) == []
    assert oracle.unproved(dsn, {slot: [(start, end)]}) == []
    assert oracle.unproved(dsn, {slot: [(start, end - 7)]}) == [(view, 7)]
    assert oracle.unproved(dsn, {slot: [(start, start + 10), (start + 30, end)]}) == [(view, 20)]
    assert oracle.unproved(dsn, {"s-other": [(start, INFINITE)]}) == [(view, end - start)]


def test_a_planted_overbilling_and_an_overlap_are_found(ran):
    _, view, dsn = ran
    assert oracle.crossed(dsn) == []
    with psycopg.connect(dsn) as db:
        db.execute("ALTER TABLE usage_window DISABLE TRIGGER ALL")
        db.execute("UPDATE usage_window SET to_ms = to_ms + 1")
    assert oracle.crossed(dsn) == [f"charge of {view}"]
    with psycopg.connect(dsn) as db:
        db.execute(
            """INSERT INTO usage_window (session_id, from_ms, to_ms, gpus, kind, seal)
               SELECT session_id, from_ms + 1, to_ms, gpus, 'gap', seal FROM usage_window"""
        )
    assert oracle.crossed(dsn) == [f"overlap of {view}", f"charge of {view}"]


def test_two_desktops_with_one_gpu_are_found_only_if_they_lived_together():
    gpus = {"s-a": {"G1": 0, "G2": 0}, "s-b": {"G2": 0}, "s-c": {"G1": 0}}
    lives = {"s-a": [(0, 10.0)], "s-b": [(9, 20.0)], "s-c": [(10, INFINITE)]}
    assert oracle.doubles(gpus, lives) == ["s-a and s-b had G2 at the same time"]
    gpus["s-b"]["G2"] = 10  # it lived before, but waited
    assert oracle.doubles(gpus, lives) == []

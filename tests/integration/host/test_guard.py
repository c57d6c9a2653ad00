"""The guard on a real engine: leases, orders, orphans, warnings and walls, with and without a controller."""

import contextlib
import grp
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from hostkit import run, slot_id

from controller.guard.loop import Guard
from controller.guard.report import NoAnswer, Orders, Renewal, Warn
from controller.host import firewall
from controller.host.engine import Engine
from controller.host.inputs import note
from controller.host.leases import Leases
from controller.host.steady import HostClock, since_boot_ms

pytestmark = pytest.mark.integration
SLOT = slot_id(1)
NOTHING = Orders((), (), (), 2_000)


class Script:
    """A controller that says what it is told to, and keeps what it was told."""

    def __init__(self):
        self.reports, self.homes, self.activity, self.answer = [], [], [], NOTHING

    def report(self, slots, delivered, at_ms, *, homes, activity, health=None):
        self.reports.append((slots, delivered, at_ms))
        self.homes.append(homes)
        self.activity.append(activity)
        if self.answer is None:
            raise NoAnswer("dead")
        return self.answer


@pytest.fixture
def guarded(host):
    """(a guard whose clock the test moves, its controller, the clock)."""
    script, clock = Script(), [round(time.time() * 1000)]
    began, booted = clock[0], since_boot_ms()
    steady = HostClock(host.config.run_dir, lambda: clock[0], lambda: booted + clock[0] - began)
    guard = Guard(host.config, script, steady)
    yield guard, script, clock
    guard.close()


def finish(guard):
    for future in [*guard._stops.values(), *guard._shown.values()]:
        future.result(30)


def test_a_dead_controller_leaks_nothing(host, guarded):
    guard, script, clock = guarded
    script.answer = None
    host.started(lease_until_ms=clock[0] + 5_000)
    guard.step()
    finish(guard)
    assert "container" in host.leavings()
    clock[0] += 5_000
    guard.step()
    finish(guard)
    assert host.leavings() == set()
    assert host.home().is_dir()


def test_a_renewed_lease_keeps_a_desktop_and_a_stale_token_does_not(host, guarded):
    guard, script, clock = guarded
    host.started(lease_until_ms=clock[0] + 5_000, fencing_token=3)
    script.answer = Orders((Renewal(SLOT, clock[0] + 60_000, 3),), (), (), 2_000)
    guard.step()
    clock[0] += 30_000
    script.answer = Orders((Renewal(SLOT, clock[0] + 600_000, 2),), (), (), 2_000)
    guard.step()
    finish(guard)
    assert "container" in host.leavings()
    assert Leases(host.config.run_dir).read(SLOT).until_ms == clock[0] + 30_000
    clock[0] += 30_000
    guard.step()
    finish(guard)
    assert host.leavings() == set()


def test_reports_are_proof_of_life_and_of_its_end(host, guarded):
    guard, script, _clock = guarded
    answer = host.started()
    guard.step(woken=True)
    run("docker", "kill", host.slot().container)
    guard.step(woken=True)
    run("docker", "rm", "-f", host.slot().container)
    guard.step(woken=True)
    seen = [reported[0][0] for reported in script.reports]
    assert [one["state"] for one in seen] == ["running", "exited", "missing"]
    assert seen[0]["container_id"] == answer["container_id"]
    assert seen[0]["started_at_ms"] == answer["started_at_ms"]
    assert seen[1]["finished_at_ms"] >= answer["ready_at_ms"]


BURN = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
WRITE = "open('/home/axon/data', 'wb').write(bytes(4_000_000))"


def test_activity_is_measured_where_it_is_wanted_and_each_kind_is_seen(host, guarded):
    guard, script, clock = guarded
    host.started()
    guard.step(woken=True)
    guard.step(woken=True)
    assert script.activity == [{}, {}], "nobody asked"
    script.answer = Orders((), (), (), 2_000, measure=True)

    def measured(before=lambda: None):
        before()
        clock[0] += 20_000
        guard.step(woken=True)
        guard._activity._looking.result(30)
        script.activity.clear()
        guard.step(woken=True)  # what was seen goes out with the next report
        return script.activity[0].get("activity")

    assert measured() is None, "a first look has nothing to compare with"
    (rest,) = measured()
    assert (rest["slot"], rest["to_ms"] - rest["from_ms"], rest["input"]) == (SLOT, 20_000, False)
    folder = (host.config.run_dir / "inputs").stat()
    assert (folder.st_mode & 0o777, grp.getgrgid(folder.st_gid).gr_name) == (0o770, host.config.gateway_group)
    assert rest["cpu_percent"] < 1 > rest["io_kib_per_s"]
    (works,) = measured(lambda: host.inside(BURN))
    assert works["cpu_percent"] >= 2, "0.4 s of 20"
    (typed,) = measured(lambda: note(host.config.run_dir, SLOT))
    assert typed["input"] is True
    stays = f"{WRITE}; import time; time.sleep(60)"
    container = host.slot().container
    (writes,) = measured(
        lambda: (run("docker", "exec", "-d", container, "/usr/bin/python3", "-c", stays), wait_written(host))
    )
    assert writes["io_kib_per_s"] > 100
    assert [one["input"] for one in measured()] == [False]


def wait_written(host):
    deadline = time.monotonic() + 20
    data = host.home() / "data"
    while not (data.exists() and data.stat().st_size == 4_000_000):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stop_order_is_carried_out(host, guarded):
    guard, script, _clock = guarded
    host.started()
    script.answer = Orders((), (SLOT,), (), 2_000)
    guard.step()
    finish(guard)
    assert host.leavings() == set()


def test_a_container_nobody_leased_is_stopped_at_the_second_sight(host, guarded):
    guard, _script, _clock = guarded
    host.started()
    (host.config.run_dir / "leases" / f"{SLOT}.json").unlink()
    guard.step()
    finish(guard)
    assert "container" in host.leavings()
    guard.step()
    finish(guard)
    assert host.leavings() == set()


def test_a_warning_is_shown_once_and_acknowledged_once(host, guarded):
    guard, script, _clock = guarded
    host.started()
    text = "10 minutes left; $(touch /home/axon/hacked)"
    script.answer = Orders((), (), (Warn(7, SLOT, text, "critical"),), 2_000)
    guard.step(woken=True)
    guard.step(woken=True)
    finish(guard)
    script.answer = NOTHING
    guard.step(woken=True)
    guard.step(woken=True)
    assert [reported[1] for reported in script.reports][-2:] == [[7], []]
    shown = (host.home() / "notified").read_text().splitlines()
    assert [json.loads(line) for line in shown] == [["critical", text]]
    assert not (host.home() / "hacked").exists()


def test_a_warning_for_no_desktop_is_not_acknowledged(host, guarded):
    guard, script, _clock = guarded
    script.answer = Orders((), (), (Warn(7, SLOT, "x", "normal"),), 2_000)
    guard.step(woken=True)
    finish(guard)
    guard.step(woken=True)
    assert [reported[1] for reported in script.reports] == [[], []]


@pytest.mark.parametrize("damage", ["delete", "flush"])
def test_walls_that_fell_are_put_back(host, guarded, damage):
    guard, _script, clock = guarded
    guard.step()
    before = firewall.listing(host.config.instance)
    run("nft", damage, "table", "inet", f"axonos_{host.config.instance}")
    assert firewall.listing(host.config.instance) != before
    clock[0] += 10_000
    guard.step()
    assert firewall.listing(host.config.instance) == before


def test_without_an_engine_nothing_is_reported_and_nothing_ends(host, guarded):
    guard, script, clock = guarded
    host.started(lease_until_ms=clock[0] + 5_000)
    working, guard._engine = guard._engine, Engine("/nonexistent/docker.sock")
    clock[0] += 10_000
    assert guard.step(woken=True) == 1_000
    assert script.reports == []
    guard._engine = working
    guard.step()
    finish(guard)
    assert host.leavings() == set()


class Site(http.server.BaseHTTPRequestHandler):
    """The guard's route of a controller."""

    reports: list
    tokens: list

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.reports.append((time.monotonic(), self.headers["Authorization"], body))
        answer = json.dumps({"leases": [], "stop": [], "warnings": [], "next_ms": 60_000}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def site(port=0):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Site)
    server.reports = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wait_until(condition, within_s=15):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_process_reports_events_at_once_and_outlives_its_controller(host):
    (host.config.run_dir.parent / "guard_token").write_text("sesame")
    with site() as first:
        port = first.server_port
        text = host.config_path.read_text().replace("http://127.0.0.1:9", f"http://127.0.0.1:{port}")
        host.config_path.write_text(text)
        process = subprocess.Popen(
            [sys.executable, "-m", "controller.guard"],
            env={**os.environ, "AXONOS_CONFIG": str(host.config_path)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: first.reports)
            time.sleep(1.2)  # the guard has asked for events by now; it reports again in a minute
            host.started()
            wait_until(lambda: any(body["slots"] for _, _, body in first.reports), within_s=5)
            at, token, body = next(entry for entry in first.reports if entry[2]["slots"])
            assert token == "Bearer sesame"
            assert body["host"] == "host-1"
            assert body["slots"][0]["state"] == "running"
            assert at
        finally:
            first.shutdown()
            if sys.exc_info()[0]:
                process.kill()
    try:
        host.stop()
        with site(port) as second:
            wait_until(lambda: second.reports, within_s=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()

"""A desktop's life on a real Docker engine, through the host program as a playbook calls it."""

import json
import os
import signal
import subprocess
import time

import pytest
from hostkit import HOST, run, slot_id

pytestmark = pytest.mark.integration
EVERYTHING = {"container", "network", "folder", "mount", "lease"}


def test_start_and_stop_leave_only_the_home(host):
    answer = host.started()
    assert answer["changed"]
    assert answer["started_at_ms"] <= answer["ready_at_ms"] <= time.time() * 1000
    ours = {"network_ms", "home_ms", "create_ms", "start_ms", "x_ms", "painted_ms", "share_ms"}
    assert answer["stages"].keys() == ours | {"desktop_painted_ms"}
    assert host.leavings() == EVERYTHING
    assert [slot["state"] for slot in host.probe()] == ["running"]
    host.inside("open('/home/axon/kept', 'w').write('mine')")

    stopped = host.stop()
    assert stopped["ok"]
    assert stopped["changed"]
    assert answer["ready_at_ms"] <= stopped["stopped_at_ms"] <= time.time() * 1000
    assert host.leavings() == set()
    assert host.probe() == []
    assert (host.home() / "kept").read_text() == "mine"


def test_the_second_start_and_stop_change_nothing(host):
    first = host.started()
    second = host.started()
    assert not second["changed"]
    assert second["container_id"] == first["container_id"]
    assert host.stop()["changed"]
    assert host.stop() | {"stopped_at_ms": 0} == {
        "ok": True,
        "changed": False,
        "stopped_at_ms": 0,
        "gpu_checks": {},
    }


def test_the_home_is_a_subvolume_with_the_files_of_the_last_session(host):
    host.started(1)
    host.inside("open('/home/axon/notes.txt', 'w').write('kept')")
    host.stop(1)
    assert host.home(1).stat().st_ino == 256  # the root of a btrfs subvolume
    host.started(2, home=host.request(1)["home"])
    assert host.inside("print(open('/home/axon/notes.txt').read())", 2) == "kept"


def test_limits_that_were_raised_by_hand_are_named_and_put_back(host):
    host.started()
    name, ask = host.slot().container, {"instance": host.config.instance}
    assert host.call("walls", ask | {"repair": False})["desktops"] == []
    run("docker", "update", "--pids-limit", "4096", "--restart", "always", name)
    raised = [f"{slot_id(1)}: PidsLimit 4096, not 128", f"{slot_id(1)}: restarts always"]
    assert host.call("walls", ask | {"repair": False})["desktops"] == raised
    assert host.call("walls", ask | {"repair": True})["desktops"] == raised
    assert host.call("walls", ask | {"repair": True})["changed"] is False
    shown = run(
        "docker", "inspect", "--format", "{{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}", name
    )
    assert shown == "128 no"


def test_another_config_in_the_same_slot_is_refused(host):
    first = host.started()
    refused = host.start(config_digest="sha256:fedcba9876543210")
    assert (refused["code"], refused["retry"]) == ("config_conflict", "stop")
    assert run("docker", "inspect", "-f", "{{.Id}}", host.slot().container) == first["container_id"]


def test_stale_fencing_tokens_are_refused(host):
    host.started(fencing_token=5)
    assert host.start(fencing_token=4)["code"] == "stale_token"
    assert host.stop(token=4)["code"] == "stale_token"
    assert host.stop(token=5)["ok"]
    for late in (4, 5):
        assert host.start(fencing_token=late)["code"] == "stale_token"
    assert host.leavings() == set()


def test_a_home_or_a_gpu_has_one_session_at_a_time(host):
    host.started(1)
    assert host.start(2, home=host.request(1)["home"])["code"] == "volume_busy"
    assert host.start(2, gpus=["SIM-2", "SIM-1"])["code"] == "gpu_busy"
    assert host.leavings(2) == set()


@pytest.mark.parametrize(("fault", "code"), [("never", "not_painted"), ("die", "not_painted")])
def test_a_desktop_that_does_not_come_up_is_taken_back(host, fault, code):
    host.started()
    host.inside(f"open('/home/axon/.tiny', 'w').write({fault!r})")
    host.stop()
    refused = host.start(2, home=host.request(1)["home"], start_timeout_s=2)
    assert (refused["ok"], refused["code"]) == (False, code)
    assert host.leavings(2) == set()


def test_an_unknown_image_is_named_and_nothing_stays(host):
    refused = host.start(image="sha256:" + "0" * 64)
    assert (refused["code"], refused["retry"]) == ("image_missing", "elsewhere")
    assert host.leavings() == set()


def test_a_paid_session_never_starts_without_its_devices(host):
    refused = host.start(simulated=False, gpus=["GPU-00000000-0000-0000-0000-000000000000"])
    assert refused["code"] == "gpu_busy"
    assert host.leavings() == set()
    assert host.start(simulated=False, gpus=[])["code"] == "bad_input"


def test_unmounted_homes_refuse_a_start(host, tmp_path):
    text = host.config_path.read_text().replace(str(host.config.homes_dir), str(tmp_path))
    host.config_path.write_text(text)
    assert host.start()["code"] == "volume_busy"
    assert host.leavings() == set()


@pytest.mark.parametrize("after_s", [0.05, 0.1, 0.15, 0.25, 0.4, 0.7])
def test_a_killed_start_leaves_nothing_that_a_stop_does_not_clear(host, after_s):
    host.made.add(slot_id(1))
    process = subprocess.Popen(
        [*HOST, "start", "--config", str(host.config_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(json.dumps(host.request()).encode())
    process.stdin.close()
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    # The engine finishes what the killed start had asked for, maybe after this stop: the guard comes back for
    # what has no lease, as the second stop does here.
    give_up = time.monotonic() + 30
    while True:
        assert host.stop()["ok"]
        if host.leavings() == set():
            break
        assert time.monotonic() < give_up, host.leavings()


def test_a_killed_start_can_be_started_again(host):
    host.made.add(slot_id(1))
    process = subprocess.Popen([*HOST, "start", "--config", str(host.config_path)], stdin=subprocess.PIPE)
    process.stdin.write(json.dumps(host.request()).encode())
    process.stdin.close()
    deadline = time.monotonic() + 20
    while "container" not in host.leavings():
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert host.started()["ok"]


def test_a_stop_ends_a_start_that_waits_for_paint(host):
    host.started()
    host.inside("open('/home/axon/.tiny', 'w').write('never')")
    host.stop()
    body = host.request(2, home=host.request(1)["home"], start_timeout_s=60)
    host.made.add(slot_id(2))
    process = subprocess.Popen(
        [*HOST, "start", "--config", str(host.config_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(json.dumps(body).encode())
    process.stdin.close()
    deadline = time.monotonic() + 20
    while "running" not in [slot["state"] for slot in host.probe()]:
        assert time.monotonic() < deadline
    assert host.stop(2, token=2)["changed"]
    answer = json.loads(process.stdout.read())
    process.stdout.close()
    process.wait(10)
    assert answer["code"] in {"stale_token", "not_painted"}
    assert host.leavings(2) == set()


def test_parallel_starts_of_one_slot_make_one_container(host):
    host.made.add(slot_id(1))
    processes = [
        subprocess.Popen(
            [*HOST, "start", "--config", str(host.config_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    answers = [json.loads(p.communicate(json.dumps(host.request()))[0]) for p in processes]
    assert sorted(answer["changed"] for answer in answers) == [False, False, True]
    assert len({answer["container_id"] for answer in answers}) == 1


def test_fresh_start_moves_settings_aside_and_never_follows_links(host, homes):
    host.started()
    victim = homes / "victim"
    (victim / "xfce4").mkdir(parents=True, exist_ok=True)
    os.chown(victim, 7000, 7000)
    host.inside(
        "import os; os.makedirs('/home/axon/.config/xfce4'); "
        "open('/home/axon/.config/xfce4/panel', 'w').write('old'); "
        f"os.makedirs('/home/axon/x'); os.symlink({str(victim)!r}, '/home/axon/.cache'); "
        "open('/home/axon/file', 'w').write('stays')"
    )
    host.stop()
    host.started(2, home=host.request(1)["home"], fresh_start=True)
    aside = list((host.home() / "Old desktop settings").iterdir())
    assert len(aside) == 1
    assert (aside[0] / "xfce4" / "panel").read_text() == "old"
    assert aside[0].stat().st_uid == 7000
    assert not (host.home() / ".config" / "xfce4").exists()
    assert (host.home() / "file").read_text() == "stays"
    assert (victim / "xfce4").is_dir()
    (victim / "xfce4").rmdir()
    victim.rmdir()


@pytest.mark.parametrize(
    "change",
    [
        {"slot": "../../etc"},
        {"home": "0x" + "0" * 39 + "/"},
        {"home": "../0x"},
        {"image": "debian:12"},
        {"subnet_index": 4095},
        {"subnet_index": True},
        {"gpus": ["a", "a"]},
        {"geometry": "1280x800 -rfbport 5900"},
        {"privileged": True},
        {"cpus": "1"},
        {"instance": "another"},
    ],
)
def test_malformed_requests_never_reach_the_engine(host, change):
    body = host.request(**change)
    refused = host.call("start", body)
    host.made.discard(body["slot"])
    assert (refused["code"], refused["retry"]) == ("bad_input", "stop")


def test_a_config_that_others_can_write_is_not_trusted(host):
    host.config_path.chmod(0o666)
    assert host.start()["code"] == "bad_input"
    host.config_path.chmod(0o640)

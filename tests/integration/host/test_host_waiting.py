"""Desktops that wait for somebody, on a real Docker engine: nobody's until claimed, one person's for ever after."""

import json
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from hostkit import HOST, run

from controller.gateway.desktop import NoDesktop, connect

pytestmark = pytest.mark.integration


def fill(host, number=1, **changes):
    """A desktop that waits; its answer."""
    return host.started(number, warm=True, home="", session="", **changes)


def claim(host, number=1, owner=1, **changes):
    """Give a waiting desktop to somebody."""
    return host.started(number, warm=True, home=host.wallet(owner), fencing_token=2, **changes)


def state(host, number=1):
    return run("docker", "inspect", "-f", "{{.State.Status}}", host.slot(number).container)


def mounts_left(host):
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if str(host.config.run_dir) in line]


def test_a_waiting_desktop_is_frozen_nobodys_and_out_of_reach(host):
    answer = fill(host)
    assert (answer["changed"], answer["warm"]) == (True, False)
    assert answer["memory_mib"] >= 1
    assert state(host) == "paused"
    assert [slot["state"] for slot in host.probe()] == ["running"]
    assert not list(host.config.homes_dir.glob(f"{host.wallet(0)[:20]}*"))
    with pytest.raises(NoDesktop):
        connect(host.config.run_dir, host.slot().id, host.config.session_uid)


def test_it_is_the_first_to_go_when_memory_runs_out(host):
    """Until somebody has it; then it counts like any other."""
    fill(host)
    assert score(host) == 900
    claim(host)
    assert score(host) == 0


def score(host):
    pid = run("docker", "inspect", "-f", "{{.State.Pid}}", host.slot().container)
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_a_claim_gives_it_a_home_and_opens_it(host):
    before = fill(host)
    answer = claim(host)
    assert (answer["changed"], answer["warm"]) == (False, True)
    assert answer["container_id"] == before["container_id"]
    assert answer["started_at_ms"] <= answer["ready_at_ms"] <= time.time() * 1000
    assert {"home_ms", "mount_ms", "thaw_ms", "desktop_painted_ms"} <= answer["stages"].keys()
    assert state(host) == "running"
    connect(host.config.run_dir, host.slot().id, host.config.session_uid).close()
    host.inside("open('/home/axon/mine', 'w').write('kept')")
    assert (host.home() / "mine").read_text() == "kept"
    assert host.stop(token=2)["changed"]
    assert host.leavings() == set()
    assert (host.home() / "mine").read_text() == "kept"
    assert mounts_left(host) == []


def test_nothing_of_the_nameless_home_stays(host):
    """What a waiting desktop wrote is gone: not in the home, not below it, not in any process's hands."""
    fill(host)
    claim(host)
    assert not (host.home() / "left-behind").exists()
    code = (
        "import os, json; home = os.stat('/home/axon').st_dev; "
        "away = [p for p in os.listdir('/proc') if p.isdigit() and os.readlink(f'/proc/{p}/cwd') != '/' "
        "and os.stat(f'/proc/{p}/cwd').st_dev != home]; "
        "print(json.dumps([away, sum('/home/axon' in line for line in open('/proc/self/mountinfo'))]))"
    )
    assert host.inside(code) == "[[], 1]"


def test_a_desktop_is_given_away_once(host):
    """Neither a second wallet nor a repeated request brings another home into it."""
    fill(host)
    claim(host, owner=1)
    host.inside("open('/home/axon/secret', 'w').write('of the first')")
    again = host.start(1, warm=True, home=host.wallet(2), fencing_token=3)
    assert (again["ok"], again["code"]) == (False, "config_conflict")
    assert (host.home(1) / "secret").read_text() == "of the first"
    assert not (host.home(2) / "secret").exists()


def test_a_claim_that_is_repeated_changes_nothing(host):
    fill(host)
    first = claim(host)
    second = host.started(1, warm=True, home=host.wallet(1), fencing_token=3)
    assert second["container_id"] == first["container_id"]
    assert state(host) == "running"


@pytest.mark.parametrize("after_s", [0.08, 0.12, 0.16, 0.2, 0.3])
def test_a_claim_that_is_killed_can_be_repeated(host, after_s):
    fill(host)
    body = host.request(1, warm=True, fencing_token=2)
    with subprocess.Popen(
        [*HOST, "start", "--config", str(host.config_path)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        process.stdin.write(json.dumps(body).encode())
        process.stdin.close()
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
    host.started(1, warm=True, fencing_token=3)
    assert host.inside("import os; print(os.listdir('/home/axon'))") == "[]"
    host.stop(token=3)
    assert mounts_left(host) == []


def test_a_waiting_desktop_that_died_is_started_cold_for_its_claimer(host):
    before = fill(host)
    run("docker", "kill", host.slot().container)
    answer = claim(host)
    assert (answer["changed"], answer["warm"]) == (True, False)
    assert answer["container_id"] != before["container_id"]
    assert host.inside("import os; print(os.getcwd())") == "/home/axon"
    assert host.stop(token=2)["changed"]
    assert mounts_left(host) == []


def test_waiting_desktops_hold_no_gpu_and_no_home(host):
    """Several may wait on the same GPUs; a session on them is not refused, a new one waiting there is."""
    fill(host, 1, gpus=["SIM-1"])
    fill(host, 2, gpus=["SIM-1", "SIM-2"])
    host.started(3, gpus=["SIM-1"])
    refused = host.start(4, warm=True, home="", session="", gpus=["SIM-1"])
    assert refused["code"] == "gpu_busy"
    assert host.leavings(4) == set()


def test_fresh_start_moves_settings_aside_before_they_are_read(host):
    host.started(1)
    host.inside(
        "import os; os.makedirs('/home/axon/.config/xfce4'); open('/home/axon/.config/xfce4/x', 'w').write('old')"
    )
    host.stop(1)
    fill(host, 2)
    claim(host, 2, owner=1, fresh_start=True)
    assert not (host.home(1) / ".config" / "xfce4").exists()
    aside = list((host.home(1) / "Old desktop settings").iterdir())
    assert [(one / "xfce4" / "x").read_text() for one in aside] == ["old"]
    host.started(2, warm=True, home=host.wallet(1), fencing_token=3, fresh_start=True)
    assert list((host.home(1) / "Old desktop settings").iterdir()) == aside


def test_a_home_that_is_in_use_is_not_given_twice(host):
    host.started(1)
    fill(host, 2)
    refused = host.start(2, warm=True, home=host.wallet(1), fencing_token=2)
    assert refused["code"] == "volume_busy"


def test_a_full_machine_is_not_filled_further(host):
    refused = host.start(1, warm=True, home="", session="", reserve_mib=2**24)
    assert (refused["code"], refused["retry"]) == ("no_memory", "elsewhere")
    assert host.leavings() == set()


def test_the_home_reaches_only_its_own_container(host):
    """Mounts made for one desktop are seen by no other that waits, nor does one's own /home lead to the host."""
    fill(host, 1)
    fill(host, 2, gpus=["SIM-2"])
    claim(host, 1)
    host.inside("open('/home/axon/mine', 'w').write('one')")
    claim(host, 2, owner=2)
    assert host.inside("import os; print(os.listdir('/home'), os.listdir('/home/axon'))", 2) == "['axon'] []"
    assert stat.S_IMODE(host.home(1).stat().st_mode) == 0o700
    assert host.inside("import os; print(os.access('/home', os.W_OK))", 2) == "False"


def test_what_waits_is_stopped_like_any_other(host):
    fill(host)
    assert host.stop(timeout_s=0)["changed"]
    assert host.leavings() == set()
    assert mounts_left(host) == []


@pytest.mark.parametrize("change", [{"home": ""}, {"warm": 1}, {"reserve_mib": -1}])
def test_malformed_requests_are_refused(host, change):
    assert host.start(1, **change)["code"] == "bad_input"

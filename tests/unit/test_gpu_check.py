"""The check of a GPU between two people: nvidia-smi's words, the kernel's log, and what is made of them."""

import stat
import sys
import time
from types import SimpleNamespace

import pytest

from controller.host import gpus, kernel_log
from controller.host.request import parse_check, parse_stop
from controller.host.words import HostRefused

A = "GPU-6b1ba6c7-9d54-3b1c-0e0c-2b8a3c0a9c11"
B = "GPU-0f2e7a51-44c6-7a09-8d1f-94b7a3a4d2f0"
CLEAN = {
    "gpu": f"{A}, 00000000:3B:00.0, 4, 0\n{B}, 00000000:AF:00.0, 4, [N/A]\n",
    "compute-apps": "",
    "remapped-rows": f"{A}, No, No\n",
}
# A fake nvidia-smi: answers from files, and keeps what it was asked.
PROGRAM = """#!{python}
import pathlib, sys
here = pathlib.Path(__file__).parent
(here / "asked").open("a").write(" ".join(sys.argv[1:]) + chr(10))
what = sys.argv[1].removeprefix("--query-").partition("=")[0]
sys.stdout.write((here / what).read_text())
sys.exit(int((here / "status").read_text()))
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Says what it is told; `say(gpu=…)` changes a table, `log(…)` writes to the kernel's log."""
    program = tmp_path / "nvidia-smi"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "status").write_text("0")
    (tmp_path / "kmsg").write_text("")
    for name, text in CLEAN.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(kernel_log.xids, "__defaults__", (tmp_path / "kmsg",))

    def check(since_ms=0, status=0, log="", **tables):
        for name, text in tables.items():
            (tmp_path / name.replace("_", "-")).write_text(text)
        (tmp_path / "status").write_text(str(status))
        (tmp_path / "kmsg").write_text(log)
        config = SimpleNamespace(nvidia_smi=str(program))
        return gpus.check(config, [A, B], simulated=False, since_ms=since_ms)

    check.asked = tmp_path / "asked"
    return check


def test_clean_gpus_are_healthy_with_and_without_ecc(smi):
    assert smi() == {A: {"healthy": True, "why": ""}, B: {"healthy": True, "why": ""}}
    assert smi.asked.read_text().splitlines() == [
        f"--query-{columns} --format=csv,noheader,nounits"
        for columns in (
            "gpu=uuid,pci.bus_id,memory.used,ecc.errors.uncorrected.volatile.total",
            "compute-apps=gpu_uuid,pid",
            "remapped-rows=gpu_uuid,remapped_rows.pending,remapped_rows.failure",
        )
    ]


@pytest.mark.parametrize(
    ("tables", "healthy", "word"),
    [
        ({"compute_apps": f"{A}, 4711\n{A}, 4712\n"}, None, "4711, 4712"),
        ({"gpu": CLEAN["gpu"].replace("3B:00.0, 4", "3B:00.0, 40112")}, None, "40112 MiB"),
        ({"gpu": CLEAN["gpu"].replace("4, 0", "4, 2")}, False, "2 uncorrectable"),
        ({"remapped_rows": f"{A}, Yes, No\n"}, False, "remapped"),
        ({"remapped_rows": f"{A}, No, Yes\n"}, False, "remapped"),
        ({"gpu": f"{B}, 00000000:AF:00.0, 4, [N/A]\n"}, False, "does not know"),
        ({"gpu": "No devices were found\n"}, None, "columns"),
        ({"gpu": CLEAN["gpu"].replace("4, 0", "four, 0")}, None, "no count"),
        ({"gpu": CLEAN["gpu"].replace("4, 0", "4, [Unknown Error]")}, None, "no count"),
        ({"status": 9, "gpu": "couldn't communicate with the NVIDIA driver"}, None, "communicate"),
    ],
)
def test_whatever_is_not_clean_is_said(smi, tables, healthy, word):
    answer = smi(**tables)[A]
    assert answer["healthy"] is healthy
    assert word in answer["why"]


def test_one_persons_processes_do_not_hold_up_the_other_gpu(smi):
    assert smi(compute_apps=f"{A}, 4711\n")[B]["healthy"] is True


def record(seconds_ago, text):
    microseconds = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 - int(seconds_ago * 1e6)
    return f"3,100,{microseconds},-;{text}\n"


XID_79 = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
XID_31 = "NVRM: Xid (PCI:0000:3b:00): 31, pid=9, name=python3, Ch 00000008, MMU Fault: ENGINE GRAPHICS"


def test_a_hardware_xid_of_this_session_breaks_its_gpu_only(smi):
    since = time.time_ns() // 1_000_000 - 60_000
    answer = smi(since_ms=since, log=record(5, XID_31) + record(4, XID_79))
    assert answer[A] == {"healthy": False, "why": "Xid 79 in the kernel's log"}
    assert answer[B]["healthy"] is True


def test_a_programs_own_xid_and_an_old_one_break_nothing(smi):
    since = time.time_ns() // 1_000_000 - 60_000
    assert smi(since_ms=since, log=record(5, XID_31) + record(90, XID_79) + "garbage\n")[A]["healthy"]


def test_a_kernel_log_that_cannot_be_read_is_no_error(tmp_path):
    assert kernel_log.xids(0, tmp_path / "none") == {}


def test_the_kernels_own_log_can_be_read():
    assert isinstance(kernel_log.xids(0), dict)


def test_without_nvidia_smi_nothing_is_called_clean():
    config = SimpleNamespace(nvidia_smi="/nonexistent/nvidia-smi")
    assert gpus.check(config, [A], simulated=False, since_ms=0)[A]["healthy"] is None


def test_a_simulated_gpu_says_that_little_could_be_checked():
    config = SimpleNamespace(nvidia_smi="/nonexistent/nvidia-smi")
    assert gpus.check(config, ["SIM-1"], simulated=True, since_ms=0) == {
        "SIM-1": {"healthy": True, "why": gpus.SIMULATED}
    }


STOP = {"instance": "t", "slot": "s-0123456789ab", "fencing_token": 1, "timeout_s": 1}


def test_gpus_of_a_request_are_checked_like_every_field():
    assert parse_stop(STOP).gpus == ()
    assert parse_stop(STOP | {"gpus": [A], "simulated": False, "gpus_since_ms": 5}).gpus == (A,)
    with pytest.raises(HostRefused):
        parse_stop(STOP | {"gpus": ["-i 0; reboot"]})
    with pytest.raises(HostRefused):
        parse_check({"instance": "t", "gpus": [A], "simulated": 0, "gpus_since_ms": 0})

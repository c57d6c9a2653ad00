import pytest

from infra.faults import Fault
from infra.gpu_look import gpus_of
from infra.instance import Instance
from infra.inventory import host_variables
from infra.stack_parts import Gpu, Host
from infra.up.stack import gpus

HOST = Host(name="far", connection="ssh", address="203.0.113.7", port=2222, user="admin", key_file="/key")


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """A program named ssh that says this, and writes down how it was called."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def says(text, status=0):
        program = tmp_path / "ssh"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\nprintf "{text}"\nexit {status}\n')
        program.chmod(0o755)
        return tmp_path / "called"

    return says


def test_the_driver_names_uuid_and_model(ssh, tmp_path):
    called = ssh("GPU-1, NVIDIA H100\\nGPU-2, NVIDIA H100\\n")
    found = gpus_of(HOST, tmp_path / "known")
    assert found == (Gpu(uuid="GPU-1", model="NVIDIA H100"), Gpu(uuid="GPU-2", model="NVIDIA H100"))
    for words in ("-i /key", "-p 2222 -l admin 203.0.113.7", f"UserKnownHostsFile={tmp_path}/known"):
        assert words in called.read_text()


@pytest.mark.parametrize(("text", "status"), [("", 0), ("not found", 127), ("", 255)])
def test_a_host_without_an_answer_says_what_to_do(ssh, tmp_path, text, status):
    ssh(text, status)
    with pytest.raises(Fault, match="simulated_gpus"):
        gpus_of(HOST, tmp_path / "known")


def test_this_machines_own_are_known_by_model_too(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\ncase "$*" in *uuid,name*) printf "GPU-1, NVIDIA L4\\nGPU-2, NVIDIA L4\\n" ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = gpus(Instance("trial", tmp_path, tmp_path))
    assert [(gpu.uuid, gpu.model, gpu.simulated) for gpu in found] == [
        ("GPU-1", "NVIDIA L4", False),
        ("GPU-2", "NVIDIA L4", False),
    ]
    host = Host(name="local", gpus=(*found, Gpu(uuid="SIM-1", simulated=True, model="simulated")))
    told = host_variables(host)["axonos_gpus"]
    assert [gpu.get("model") for gpu in told] == ["NVIDIA L4", "NVIDIA L4", None]

import pytest

from infra.faults import Fault
from infra.gpu_look import gpus_of
from infra.stack_parts import Gpu, Host

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

import pytest

from infra.errors import StackConfigInvalid
from infra.stack_config import saved_config, stack_config


def values(tmp_path, **more):
    base = {
        "instance": "trial",
        "state_dir": tmp_path / "state",
        "run_dir": tmp_path / "run",
        "hosts": [{"name": "local"}],
    }
    return {**base, **more}


def test_what_is_saved_is_found_again(tmp_path):
    config = stack_config(**values(tmp_path))
    config.save()
    assert saved_config(tmp_path / "state") == config
    assert config.saved_at.parent.stat().st_mode & 0o077 == 0


def test_all_problems_are_listed_at_once(tmp_path):
    wrong = values(tmp_path, instance="Trial!", hosts=[{"name": "!"}], ports={"web": 0}, surprise=1)
    with pytest.raises(StackConfigInvalid) as raised:
        stack_config(**wrong)
    for place in ("instance", "hosts.0.name", "ports.web", "surprise", "4 problem(s)"):
        assert place in raised.value.message


def test_all_contradictions_are_listed_at_once(tmp_path):
    site = {"name": "site", "path": tmp_path / "missing.yml"}
    gpu = {"uuid": "GPU-1"}
    wrong = values(
        tmp_path,
        run_dir="/" + "r" * 90,
        hosts=[{"name": "one", "gpus": [gpu]}, {"name": "one", "gpus": [gpu]}],
        playbooks=[site, site],
        watched=[tmp_path / "nowhere"],
    )
    with pytest.raises(StackConfigInvalid) as raised:
        stack_config(**wrong)
    for words in (
        "run_dir is too long",
        "host one is listed twice",
        "GPU GPU-1 is listed twice",
        "playbook site is listed twice",
        "missing.yml does not exist",
        "nowhere does not exist",
    ):
        assert words in raised.value.message


def test_before_the_first_up_there_is_none(tmp_path):
    with pytest.raises(StackConfigInvalid, match="axonos up"):
        saved_config(tmp_path)


def test_each_kind_of_stack_has_its_own_hosts(tmp_path):
    ssh = {"name": "far", "connection": "ssh", "key_file": tmp_path / "none"}
    for more, words in (
        ({"hosts": []}, "at least one host"),
        ({"kind": "metal"}, "reaches its hosts by ssh"),
        ({"kind": "metal", "hosts": [ssh]}, "no key file"),
        ({"kind": "aws"}, r"needs a section \[aws\]"),
    ):
        with pytest.raises(StackConfigInvalid, match=words):
            stack_config(**values(tmp_path, **more))


def test_two_services_on_one_port_are_refused(tmp_path):
    with pytest.raises(StackConfigInvalid, match="three different ports"):
        stack_config(**values(tmp_path, ports={"web": 9000, "gateway": 9000}))

"""A stack on EC2 by the real Pulumi engine and the bundled provider, against a moto server: one whole life."""

from __future__ import annotations

import pytest
from drift.judge import Verdict
from drift.stack import of_ec2, try_stack
from ec2_kit import CloudWorld, Ec2, cloud, ec2, ec2_server
from pulumi_kit import pulumi_cli

from infra import engine
from infra.errors import PolicyRefused
from infra.summary import Summary

__all__ = ["cloud", "ec2", "ec2_server", "pulumi_cli"]
pytestmark = pytest.mark.integration


# Twelve operations of the engine, each of some seconds; on a busy machine of some more.
@pytest.mark.timeout(900)
def test_a_stack_from_nothing_to_nothing(cloud: CloudWorld, ec2: Ec2) -> None:
    is_as_declared(ec2, cloud.up())
    is_repaired(cloud, ec2)
    grows_and_shrinks(cloud, ec2)

    homes = ec2.volumes()["gpu-0-homes"]["VolumeId"]
    assert engine.destroy(cloud.config(), cli=cloud.cli).changes["delete"] > 3
    assert ec2.leftovers() == ["gpu-0-homes"], "homes outlive the stack"
    assert cloud.up().changes["create"] > 3
    assert ec2.volumes()["gpu-0-homes"]["VolumeId"] == homes, "and are found again"
    engine.destroy(cloud.config(), cli=cloud.cli, with_homes=True)
    assert ec2.leftovers() == []


def is_as_declared(ec2: Ec2, first: Summary) -> None:
    (machine,) = ec2.instances().values()
    homes = ec2.volumes()["gpu-0-homes"]
    assert (machine["InstanceType"], machine["MetadataOptions"]["HttpTokens"]) == ("g5.xlarge", "required")
    assert (homes["Size"], homes["Encrypted"]) == (50, True)
    assert homes["Attachments"][0]["InstanceId"] == machine["InstanceId"]
    (host,) = first.outputs["hosts"]
    assert (host["name"], host["address"]) == ("gpu-0", machine["PublicIpAddress"])
    assert host["gateway_url"] == "wss://gpu-0.example.com"
    assert [gpu["uuid"] for gpu in host["gpus"]] == ["SIM-gpu-0-0", "SIM-gpu-0-1"]


def is_repaired(cloud: CloudWorld, ec2: Ec2) -> None:
    """What somebody changed by hand is named and repaired, and nothing else is touched."""
    verdict = Verdict()
    try_stack(of_ec2(ec2), cloud, verdict)
    assert verdict.failures == []
    assert len(verdict.named) == 4
    assert ec2.asked["RunInstances"] == 1


def grows_and_shrinks(cloud: CloudWorld, ec2: Ec2) -> None:
    """More machines and bigger volumes leave what runs alone; fewer need the hosts to be released."""
    before = ec2.instances()["gpu-0"]["InstanceId"]
    cloud.aws = {"pools": [{"count": 2, "homes_gib": 60}]}
    cloud.up()
    assert ec2.instances()["gpu-0"]["InstanceId"] == before
    sizes = {name: one["Size"] for name, one in ec2.volumes().items() if "homes" in name}
    assert sizes == {"gpu-0-homes": 60, "gpu-1-homes": 60}

    cloud.aws = {"pools": [{"count": 1, "homes_gib": 60}]}
    with pytest.raises(PolicyRefused, match="axonos hosts drain gpu-1") as refused:
        cloud.up()
    told = refused.value.message.splitlines()[1:]
    rules = {(line.strip().partition(":")[0], line.rpartition("[")[2].rstrip("]")) for line in told}
    assert rules == {("gpu-1", "hosts"), ("gpu-1-homes", "homes")}
    assert set(ec2.instances()) == {"gpu-0", "gpu-1"}
    assert set(cloud.up(released=frozenset({"gpu-1"})).changes) == {"delete"}
    assert set(ec2.instances()) == {"gpu-0"}
    assert "gpu-1-homes" not in ec2.volumes()

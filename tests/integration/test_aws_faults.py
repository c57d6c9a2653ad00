"""EC2 that is busy, loses answers, has no machine free; runs that are killed and interrupted: nothing is orphaned."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from ec2_kit import BUSY, CloudWorld, Ec2, cloud, ec2, ec2_server, wait_for
from pulumi_kit import pulumi_cli

from infra import engine
from infra.stack_lock import owners

__all__ = ["cloud", "ec2", "ec2_server", "pulumi_cli"]
pytestmark = pytest.mark.integration
OTHER_AMI = "ami-1e749f67"
FAR = {"name": "far", "connection": "ssh", "address": "203.0.113.7", "gateway_url": "wss://far"}


def test_busy_times_lost_answers_and_a_volume_in_use(cloud: CloudWorld, ec2: Ec2) -> None:
    ec2.faults = {
        "RunInstances": [BUSY, "lost"],
        "CreateVolume": ["lost"],
        "CreateSecurityGroup": ["lost"],
        "DescribeVolumes": [BUSY],
    }
    cloud.up()
    assert set(ec2.instances()) == {"gpu-0"}, "a lost answer makes no second machine"
    homes = [name for name in ec2.volumes() if name == "gpu-0-homes"]
    assert homes == ["gpu-0-homes"]
    assert ec2.asked["RunInstances"] == 2
    assert not any(ec2.faults.values()), "all of it happened"

    # Somebody took the volume elsewhere: it is not removed from under them, and the machine is named.
    volume = ec2.volumes()["gpu-0-homes"]
    mine = ec2.instances()["gpu-0"]["InstanceId"]
    ec2.client.detach_volume(VolumeId=volume["VolumeId"], InstanceId=mine, Device="/dev/sdf")
    made = ec2.client.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        Placement={"AvailabilityZone": "us-east-1a"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "rescue"}]}],
    )
    rescue = made["Instances"][0]["InstanceId"]
    ec2.client.attach_volume(VolumeId=volume["VolumeId"], InstanceId=rescue, Device="/dev/sdf")
    said, _ = cloud.start("destroy", options="with_homes=True").communicate(timeout=180)
    assert f"{volume['VolumeId']} is still attached to {rescue}" in said
    assert "gpu-0-homes" in ec2.volumes()
    ec2.client.terminate_instances(InstanceIds=[rescue])
    engine.destroy(cloud.config(), cli=cloud.cli, with_homes=True)
    assert ec2.leftovers() == []


def test_half_finished_then_killed_then_whole(cloud: CloudWorld, ec2: Ec2) -> None:
    ec2.faults = {"RunInstances": ["InsufficientInstanceCapacity"]}
    said, _ = cloud.start().communicate(timeout=180)
    assert "ERROR operation_failed gpu-0: AWS: RunInstances" in said
    assert "try later" in said
    assert ec2.instances() == {}

    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        go_on.wait(60)

    ec2.before["RunInstances"] = hold
    run = cloud.start()
    assert reached.wait(120)
    for pid in (run.pid, *(o.pid for o in owners(cloud.config().backend_dir, "axonos", "cloud"))):
        os.kill(pid, signal.SIGKILL)
    run.communicate(timeout=30)
    go_on.set()
    ec2.before.clear()
    wait_for(lambda: "gpu-0" in ec2.instances())
    lonely = ec2.instances()["gpu-0"]["InstanceId"]

    cloud.up()
    assert any("taking away the lock" in line for line in cloud.told)
    assert ec2.instances()["gpu-0"]["InstanceId"] == lonely, "taken over, not made twice"
    assert ec2.volumes()["gpu-0-homes"]["Attachments"][0]["InstanceId"] == lonely
    assert ec2.asked["CreateVolume"] == 1


def test_ctrl_c_while_a_machine_is_made_records_it(cloud: CloudWorld, ec2: Ec2) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        go_on.wait(60)

    ec2.before["RunInstances"] = hold
    run = cloud.start()
    assert reached.wait(120)
    run.send_signal(signal.SIGINT)
    threading.Timer(1, go_on.set).start()
    said, _ = run.communicate(timeout=180)
    assert "ERROR interrupted" in said
    made = ec2.instances()["gpu-0"]["InstanceId"]

    ec2.before.clear()
    cloud.up()
    assert ec2.instances()["gpu-0"]["InstanceId"] == made
    assert ec2.asked["RunInstances"] == 1
    assert ec2.volumes()["gpu-0-homes"]["Attachments"][0]["InstanceId"] == made


def test_another_machine_image_is_another_machine_with_the_same_homes(cloud: CloudWorld, ec2: Ec2) -> None:
    cloud.up()
    before, homes = ec2.instances()["gpu-0"]["InstanceId"], ec2.volumes()["gpu-0-homes"]["VolumeId"]
    cloud.aws = {"ami": OTHER_AMI}
    done = cloud.up(released=frozenset({"gpu-0"}))
    assert {(c.name, c.op) for c in done.changed} == {("gpu-0", "replace"), ("gpu-0-homes-joined", "replace")}
    after = ec2.instances()["gpu-0"]
    assert after["InstanceId"] != before
    assert after["ImageId"] == OTHER_AMI
    volume = ec2.volumes()["gpu-0-homes"]
    assert (volume["VolumeId"], volume["Attachments"][0]["InstanceId"]) == (homes, after["InstanceId"])
    plan = engine.preview(cloud.config(aws=None, kind="metal", hosts=[FAR]), cli=cloud.cli)
    assert ("homes", "gpu-0-homes") in {(v.rule, v.resource) for v in plan.violations}, "protected again"

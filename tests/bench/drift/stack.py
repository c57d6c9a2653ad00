"""What a stack owns, altered by hand: objects of Docker and of EC2, named by a refresh and repaired by an `up`."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import docker
from ec2_kit import Ec2
from pulumi_kit import World

from drift.judge import Verdict
from infra import engine


@dataclass(frozen=True)
class Owned:
    """One kind. A refresh must name `resource` with `word`; `repaired` is seen in the thing itself."""

    name: str
    inject: Callable[[], object]
    resource: str
    word: str
    repaired: Callable[[], bool]


def try_stack(kinds: Sequence[Owned], world: World, verdict: Verdict, **more: Any) -> None:
    """One batch on a stack that was just brought up; `more` goes to each `up`."""
    for kind in kinds:
        kind.inject()
    seen = {drift.name: drift.what for drift in engine.refresh(world.config(), cli=world.cli).drift}
    repaired, after = world.up(**more), world.up(**more)
    for kind in kinds:
        verdict.injected.append(kind.name)
        if kind.word in seen.get(kind.resource, ()):
            verdict.named.append(kind.name)
        if kind.repaired():
            verdict.repaired.append(kind.name)
    expected = {kind.resource for kind in kinds}
    verdict.stray += [f"named: {name}" for name in seen if name not in expected]
    verdict.stray += [f"changed: {one.name}" for one in repaired.changed if one.name not in expected]
    verdict.stray += [f"still named after the repair: {one.name}" for one in (*after.drift, *after.changed)]


def of_ec2(ec2: Ec2) -> tuple[Owned, ...]:
    """A stack of one machine, `gpu-0`, with 50 GiB for homes."""
    client = ec2.client

    def volume() -> dict[str, Any]:
        return ec2.volumes()["gpu-0-homes"]

    def machine() -> dict[str, Any]:
        return ec2.instances()["gpu-0"]

    def open_to_all() -> bool:
        ways = (ec2.group() or {})["IpPermissions"]
        return "0.0.0.0/0" in {r["CidrIp"] for w in ways if w["FromPort"] == 22 for r in w["IpRanges"]}

    world = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    stranger = [{"Key": "owner", "Value": "nobody"}]
    return (
        Owned(
            "EC2 volume size",
            lambda: client.modify_volume(VolumeId=volume()["VolumeId"], Size=45),
            *("gpu-0-homes", "size"),
            lambda: volume()["Size"] == 50,
        ),
        Owned(
            "EC2 volume type",
            lambda: client.modify_volume(VolumeId=volume()["VolumeId"], VolumeType="io1", Iops=100),
            *("gpu-0-homes", "type"),
            lambda: volume()["VolumeType"] == "gp3",
        ),
        Owned(
            "EC2 tag",
            lambda: client.create_tags(Resources=[machine()["InstanceId"]], Tags=stranger),
            *("gpu-0", "tags"),
            lambda: "owner" not in {tag["Key"] for tag in machine()["Tags"]},
        ),
        Owned(
            "security-group rule",
            lambda: client.authorize_security_group_ingress(
                GroupId=(ec2.group() or {})["GroupId"], IpPermissions=world
            ),
            *("hosts", "ingress"),
            lambda: not open_to_all(),
        ),
    )


@contextmanager
def of_docker(world: World) -> Iterator[tuple[Owned, ...]]:
    """The network in which images are looked at, and the name under which Docker keeps the desktop's image."""
    named = f"axonos/{world.instance}-desktop"
    with closing(docker.from_env()) as client:
        (kept,) = client.images.list(named)
        (name,) = kept.tags
        told = client.api.import_image_from_data(_one_file()).splitlines()[-1]
        other = str(json.loads(told)["status"])

        def opened() -> None:
            """Another network under the name, with a way out: the one that is recorded is gone."""
            client.networks.get(world.network).remove()
            client.networks.create(world.network, labels={"org.axonos.instance": world.instance})

        def taken() -> None:
            """Another image under the name, and ours, nameless then, pruned."""
            client.images.get(other).tag(named, name.rpartition(":")[2])
            client.images.remove(str(kept.id))

        def internal() -> bool:
            return bool(client.networks.get(world.network).attrs["Internal"])

        yield (
            Owned("Docker network", opened, "verification", "gone", internal),
            Owned("image tag", taken, "desktop", "gone", lambda: client.images.get(name).id == kept.id),
        )
        client.images.remove(other, force=True)


def _one_file() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    return buffer.getvalue()

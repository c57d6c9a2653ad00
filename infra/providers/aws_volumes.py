"""EBS volumes and their attachments, in the words of `pulumi_aws`'s properties.

A volume never shrinks, and is never removed or detached while something uses it.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from botocore.exceptions import ClientError

from infra.providers.aws_cloud import Cloud, Refused, code_of, identity, tag_list, tag_map, token
from infra.providers.aws_kind import Shape
from infra.providers.protocol import Properties

READY_LIMIT_S = 300
DETACH_LIMIT_S = 300


class Volumes:
    """aws:ebs/volume:Volume."""

    shape = Shape(
        served=frozenset(
            {"availabilityZone", "encrypted", "iops", "kmsKeyId", "size", "tags", "throughput", "type"}
        ),
        replaces=frozenset({"availabilityZone", "encrypted", "kmsKeyId"}),
        required=frozenset({"availabilityZone", "size", "tags"}),
    )

    def __init__(self, cloud: Cloud) -> None:
        """Args: where."""
        self._cloud, self._ec2 = cloud, cloud.ec2

    def create(self, urn: str, wanted: Properties) -> str:
        names = {"iops": "Iops", "kmsKeyId": "KmsKeyId", "throughput": "Throughput"}
        request = {
            "AvailabilityZone": wanted["availabilityZone"],
            "Size": int(wanted["size"]),
            "Encrypted": bool(wanted.get("encrypted")),
            "VolumeType": wanted.get("type") or "gp3",
            "TagSpecifications": [{"ResourceType": "volume", "Tags": tag_list(wanted["tags"])}],
            **{theirs: wanted[ours] for ours, theirs in names.items() if wanted.get(ours)},
        }
        made = self._cloud.once(
            lambda: self._existing(wanted), "create_volume", request, token(urn, secrets.token_hex(8))
        )
        return str(made if isinstance(made, str) else made["VolumeId"])

    def _existing(self, wanted: Properties) -> str | None:
        """A volume known by these tags, homes and all. One in another zone is of no use, nor ours to drop."""
        alive = {"Name": "status", "Values": ["creating", "available", "in-use"]}
        found = self._ec2.describe_volumes(Filters=[*identity(wanted["tags"]), alive])["Volumes"]
        if not found:
            return None
        real = found[0]
        if real["AvailabilityZone"] != wanted["availabilityZone"]:
            where = f"{real['VolumeId']} of that name lies in {real['AvailabilityZone']}"
            raise Refused(f"{where}, not in {wanted['availabilityZone']}: move its homes, then remove it")
        return str(real["VolumeId"])

    def settle(self, id_: str, wanted: Properties) -> None:
        def ready() -> bool:
            real = self._described(id_)
            return real is not None and real["State"] in {"available", "in-use"}

        self._cloud.until(ready, limit_s=READY_LIMIT_S, what=f"{id_} is available")
        self.update(id_, self.read(id_, wanted) or {}, wanted)

    def read(self, id_: str, props: Properties) -> Properties | None:
        del props
        real = self._described(id_)
        if real is None or real["State"] in {"deleting", "deleted"}:
            return None
        return {
            "availabilityZone": real["AvailabilityZone"],
            "encrypted": real["Encrypted"],
            "iops": real.get("Iops"),
            "kmsKeyId": real.get("KmsKeyId"),
            "size": real["Size"],
            "throughput": real.get("Throughput"),
            "type": real["VolumeType"],
            "tags": tag_map(real.get("Tags")),
        }

    def _described(self, id_: str) -> dict[str, Any] | None:
        try:
            return dict(self._ec2.describe_volumes(VolumeIds=[id_])["Volumes"][0])
        except ClientError as error:
            if code_of(error) == "InvalidVolume.NotFound":
                return None
            raise

    def update(self, id_: str, real: Properties, wanted: Properties) -> None:
        if int(wanted["size"]) < int(real["size"]):
            raise Refused(f"{id_} has {int(real['size'])} GiB and cannot shrink: say at least that")
        names = {"size": "Size", "type": "VolumeType", "iops": "Iops", "throughput": "Throughput"}
        changed = {
            theirs: wanted[ours] if ours == "type" else int(wanted[ours])
            for ours, theirs in names.items()
            if wanted.get(ours) is not None and wanted[ours] != real.get(ours)
        }
        if changed:
            self._ec2.modify_volume(VolumeId=id_, **changed)
        self._cloud.retag(id_, wanted["tags"], real["tags"])

    def delete(self, id_: str, props: Properties) -> None:
        """Remove it, unless something uses it.

        Raises:
            Refused: it is still attached; the machine is named.
        """
        del props
        real = self._described(id_)
        if real is None:
            return
        for one in real.get("Attachments") or []:
            if one.get("State") in {"attached", "attaching", "busy"}:
                raise Refused(
                    f"{id_} is still attached to {one['InstanceId']} ({one['Device']}): end that first"
                )
        self._ec2.delete_volume(VolumeId=id_)
        self._cloud.until(lambda: self._described(id_) is None, limit_s=READY_LIMIT_S, what=f"{id_} is gone")


class Attachments:
    """aws:ec2/volumeAttachment:VolumeAttachment."""

    shape = Shape(
        served=frozenset({"deviceName", "instanceId", "stopInstanceBeforeDetaching", "volumeId"}),
        replaces=frozenset({"deviceName", "instanceId", "volumeId"}),
        settled=frozenset({"stopInstanceBeforeDetaching"}),
        required=frozenset({"deviceName", "instanceId", "volumeId"}),
    )

    def __init__(self, cloud: Cloud) -> None:
        """Args: where."""
        self._cloud, self._ec2 = cloud, cloud.ec2

    def create(self, urn: str, wanted: Properties) -> str:
        """Attach, once a former attachment of the volume has ended and the machine runs."""
        del urn
        volume, instance = wanted["volumeId"], wanted["instanceId"]

        def free() -> bool:
            return all(self._is(wanted, one) for one in self._attachments(volume))

        self._cloud.until(
            free, limit_s=DETACH_LIMIT_S, what=f"{volume} is detached from {self._holder(volume)}"
        )
        if not self._attachments(volume):
            self._start(instance)
            self._ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=wanted["deviceName"])
        return attachment_id(wanted)

    def settle(self, id_: str, wanted: Properties) -> None:
        del id_
        volume = wanted["volumeId"]

        def attached() -> bool:
            return any(one["State"] == "attached" for one in self._attachments(volume))

        self._cloud.until(attached, limit_s=READY_LIMIT_S, what=f"{volume} is attached")

    def _start(self, instance: str) -> None:
        if _state(self._ec2, instance) in {"stopping", "stopped"}:
            self._cloud.until(
                lambda: _state(self._ec2, instance) == "stopped", limit_s=300, what="it stopped"
            )
            self._ec2.start_instances(InstanceIds=[instance])
        running = {"running"}
        self._cloud.until(
            lambda: _state(self._ec2, instance) in running, limit_s=READY_LIMIT_S, what=f"{instance} runs"
        )

    def read(self, id_: str, props: Properties) -> Properties | None:
        del id_
        found = self._attachments(props["volumeId"])
        return props if any(self._is(props, one) for one in found) else None

    def update(self, id_: str, real: Properties, wanted: Properties) -> None:
        """Nothing about an attachment changes in place."""

    def delete(self, id_: str, props: Properties) -> None:
        """Detach; where asked for, the machine is stopped first, so that its file system is whole."""
        del id_
        volume, instance = props["volumeId"], props["instanceId"]
        if not any(self._is(props, one) for one in self._attachments(volume)):
            return
        if props.get("stopInstanceBeforeDetaching") and _state(self._ec2, instance) in {"pending", "running"}:
            self._ec2.stop_instances(InstanceIds=[instance])
            stopped = {"stopped", "terminated", ""}
            self._cloud.until(
                lambda: _state(self._ec2, instance) in stopped, limit_s=600, what=f"{instance} has stopped"
            )
        try:
            self._ec2.detach_volume(VolumeId=volume, InstanceId=instance, Device=props["deviceName"])
        except ClientError as error:
            if code_of(error) not in {
                "IncorrectState",
                "InvalidAttachment.NotFound",
                "InvalidVolume.NotFound",
            }:
                raise
        self._cloud.until(
            lambda: not self._attachments(volume),
            limit_s=DETACH_LIMIT_S,
            what=f"{instance} let go of {volume}",
        )

    def _attachments(self, volume: str) -> list[dict[str, Any]]:
        try:
            (real,) = self._ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        except ClientError as error:
            if code_of(error) == "InvalidVolume.NotFound":
                return []
            raise
        return [one for one in real.get("Attachments") or [] if one["State"] != "detached"]

    def _holder(self, volume: str) -> str:
        found = self._attachments(volume)
        return str(found[0]["InstanceId"]) if found else "any machine"

    @staticmethod
    def _is(wanted: Properties, real: dict[str, Any]) -> bool:
        return (real["InstanceId"], real["Device"]) == (wanted["instanceId"], wanted["deviceName"])


def attachment_id(wanted: Properties) -> str:
    """The ID of an attachment: EC2 has none, `pulumi_aws` takes a hash."""
    text = "-".join(str(wanted[key]) for key in ("deviceName", "instanceId", "volumeId"))
    return f"vai-{int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)}"


def _state(ec2: Any, instance: str) -> str:
    """A machine's state; empty where it is gone."""
    try:
        found = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    except ClientError as error:
        if code_of(error) == "InvalidInstanceID.NotFound":
            return ""
        raise
    return str(found[0]["Instances"][0]["State"]["Name"]) if found else ""

"""EC2 instances, in the words of `pulumi_aws`'s properties.

One that a broken-off run started is taken over where it is as wanted, and ended where it is not: either way
no machine is left that nobody knows of.
"""

from __future__ import annotations

import secrets
from typing import Any

from botocore.exceptions import ClientError

from infra.providers.aws_cloud import Cloud, Refused, code_of, identity, tag_list, tag_map, token
from infra.providers.aws_kind import Shape, differing
from infra.providers.protocol import Properties

START_LIMIT_S = 600
STOP_LIMIT_S = 900
ENDED = frozenset({"shutting-down", "terminated"})
_ALIVE = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}


class Instances:
    """aws:ec2/instance:Instance."""

    shape = Shape(
        served=frozenset(
            {
                "ami",
                "associatePublicIpAddress",
                "availabilityZone",
                "instanceType",
                "keyName",
                "metadataOptions",
                "rootBlockDevice",
                "subnetId",
                "tags",
                "volumeTags",
                "vpcSecurityGroupIds",
            }
        ),
        replaces=frozenset({"ami", "availabilityZone", "keyName", "subnetId"}),
        settled=frozenset({"associatePublicIpAddress", "volumeTags"}),
        required=frozenset({"ami", "instanceType", "tags"}),
    )

    def __init__(self, cloud: Cloud) -> None:
        """Args: where."""
        self._cloud, self._ec2 = cloud, cloud.ec2

    def create(self, urn: str, wanted: Properties) -> str:
        made = self._cloud.once(
            lambda: self._existing(wanted),
            "run_instances",
            self._request(wanted),
            token(urn, secrets.token_hex(8)),
        )
        return str(made if isinstance(made, str) else made["Instances"][0]["InstanceId"])

    def _request(self, wanted: Properties) -> dict[str, Any]:
        root, meta = wanted.get("rootBlockDevice"), wanted.get("metadataOptions") or {}
        tags = tag_list(wanted["tags"])
        request: dict[str, Any] = {
            "ImageId": wanted["ami"],
            "InstanceType": wanted["instanceType"],
            "MinCount": 1,
            "MaxCount": 1,
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        }
        if wanted.get("volumeTags"):
            volumes = {"ResourceType": "volume", "Tags": tag_list(wanted["volumeTags"])}
            request["TagSpecifications"].append(volumes)
        if wanted.get("availabilityZone"):
            request["Placement"] = {"AvailabilityZone": wanted["availabilityZone"]}
        if wanted.get("keyName"):
            request["KeyName"] = wanted["keyName"]
        if meta:
            request["MetadataOptions"] = {
                key[0].upper() + key[1:]: _whole(value) for key, value in meta.items()
            }
        if root:
            request["BlockDeviceMappings"] = [
                {"DeviceName": self._root_name(wanted["ami"]), "Ebs": _disk(root)}
            ]
        return request | self._network(wanted)

    @staticmethod
    def _network(wanted: Properties) -> dict[str, Any]:
        groups, public = wanted.get("vpcSecurityGroupIds") or [], wanted.get("associatePublicIpAddress")
        if not wanted.get("subnetId"):
            return {"SecurityGroupIds": groups}
        if public is None:
            return {"SecurityGroupIds": groups, "SubnetId": wanted["subnetId"]}
        one = {"DeviceIndex": 0, "SubnetId": wanted["subnetId"], "Groups": groups}
        return {"NetworkInterfaces": [{**one, "AssociatePublicIpAddress": public}]}

    def _root_name(self, ami: str) -> str:
        found = self._ec2.describe_images(ImageIds=[ami])["Images"]
        return str(found[0].get("RootDeviceName") or "/dev/sda1") if found else "/dev/sda1"

    def _existing(self, wanted: Properties) -> str | None:
        """A machine known by these tags. One that is not as wanted is ended, if it never became a host.

        Raises:
            Refused: it has a volume of homes, but this stack does not know it.
        """
        found = self._ec2.describe_instances(Filters=[*identity(wanted["tags"]), _ALIVE])["Reservations"]
        taken = None
        for real in (one for reservation in found for one in reservation["Instances"]):
            id_ = str(real["InstanceId"])
            differs = differing(self._properties(real), wanted, {}, self.shape)
            if taken is None and not set(differs) & self.shape.replaces:
                taken = id_
            elif len(real.get("BlockDeviceMappings", [])) > 1:
                raise Refused(
                    f"{id_} has that name and homes on it, but is not in this stack: look at it first"
                )
            else:
                self.delete(id_, {})
        return taken

    def settle(self, id_: str, wanted: Properties) -> None:
        """Wait until it runs and has its address; interrupted, it is recorded and the next run goes on."""
        self._cloud.until(lambda: self._state(id_) == "running", limit_s=START_LIMIT_S, what=f"{id_} runs")
        real = self.read(id_, wanted)
        if real is not None:
            self.update(id_, real, wanted)

    def read(self, id_: str, props: Properties) -> Properties | None:
        del props
        real = self._described(id_)
        return None if real is None or real["State"]["Name"] in ENDED else self._properties(real)

    def _properties(self, real: dict[str, Any]) -> Properties:
        meta = real.get("MetadataOptions") or {}
        return {
            "ami": real["ImageId"],
            "availabilityZone": real["Placement"]["AvailabilityZone"],
            "instanceType": real["InstanceType"],
            "instanceState": real["State"]["Name"],
            "keyName": real.get("KeyName"),
            "metadataOptions": {
                key: meta[key[0].upper() + key[1:]] for key in _META if key[0].upper() + key[1:] in meta
            },
            "privateIp": real.get("PrivateIpAddress"),
            "publicDns": real.get("PublicDnsName"),
            "publicIp": real.get("PublicIpAddress"),
            "rootBlockDevice": self._root(real),
            "subnetId": real.get("SubnetId"),
            "tags": tag_map(real.get("Tags")),
            "vpcSecurityGroupIds": sorted(group["GroupId"] for group in real.get("SecurityGroups", [])),
        }

    def _root(self, real: dict[str, Any]) -> Properties:
        disks = [
            one
            for one in real.get("BlockDeviceMappings", [])
            if one["DeviceName"] == real.get("RootDeviceName")
        ]
        if not disks:
            return {}
        ebs = disks[0]["Ebs"]
        (volume,) = self._ec2.describe_volumes(VolumeIds=[ebs["VolumeId"]])["Volumes"]
        return {
            "volumeId": ebs["VolumeId"],
            "volumeSize": volume["Size"],
            "volumeType": volume["VolumeType"],
            "encrypted": volume["Encrypted"],
            "deleteOnTermination": ebs.get("DeleteOnTermination", True),
        }

    def update(self, id_: str, real: Properties, wanted: Properties) -> None:
        changed = differing(real, wanted, {}, self.shape)
        if "instanceType" in changed:
            self._retype(id_, wanted["instanceType"])
        if "vpcSecurityGroupIds" in changed:
            self._ec2.modify_instance_attribute(InstanceId=id_, Groups=wanted["vpcSecurityGroupIds"])
        if "metadataOptions" in changed:
            options = {k[0].upper() + k[1:]: _whole(v) for k, v in wanted["metadataOptions"].items()}
            self._ec2.modify_instance_metadata_options(InstanceId=id_, **options)
        if "rootBlockDevice" in changed:
            disk = _disk(wanted["rootBlockDevice"])
            given = {key: disk[key] for key in ("Size", "VolumeType") if key in disk}
            size = {"Size": disk.get("VolumeSize")} if disk.get("VolumeSize") else {}
            self._ec2.modify_volume(VolumeId=real["rootBlockDevice"]["volumeId"], **given, **size)
        self._cloud.retag(id_, wanted["tags"], real["tags"])

    def _retype(self, id_: str, kind: str) -> None:
        """Another type needs a stopped machine; it is started again."""
        self._ec2.stop_instances(InstanceIds=[id_])
        self._cloud.until(
            lambda: self._state(id_) == "stopped", limit_s=STOP_LIMIT_S, what=f"{id_} has stopped"
        )
        self._ec2.modify_instance_attribute(InstanceId=id_, InstanceType={"Value": kind})
        self._ec2.start_instances(InstanceIds=[id_])
        self._cloud.until(lambda: self._state(id_) == "running", limit_s=START_LIMIT_S, what=f"{id_} runs")

    def delete(self, id_: str, props: Properties) -> None:
        del props
        if self._state(id_) in {"", "terminated"}:
            return
        self._ec2.terminate_instances(InstanceIds=[id_])
        ended = {"", "terminated"}
        self._cloud.until(lambda: self._state(id_) in ended, limit_s=STOP_LIMIT_S, what=f"{id_} has ended")

    def _state(self, id_: str) -> str:
        real = self._described(id_)
        return "" if real is None else str(real["State"]["Name"])

    def _described(self, id_: str) -> dict[str, Any] | None:
        try:
            found = self._ec2.describe_instances(InstanceIds=[id_])["Reservations"]
        except ClientError as error:
            if code_of(error) in {"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"}:
                return None
            raise
        return dict(found[0]["Instances"][0]) if found else None


_META = ("httpEndpoint", "httpPutResponseHopLimit", "httpTokens", "instanceMetadataTags")


def _disk(root: Properties) -> dict[str, Any]:
    names = {
        "volumeSize": "VolumeSize",
        "volumeType": "VolumeType",
        "encrypted": "Encrypted",
        "deleteOnTermination": "DeleteOnTermination",
        "kmsKeyId": "KmsKeyId",
    }
    return {theirs: _whole(root[ours]) for ours, theirs in names.items() if root.get(ours) is not None}


def _whole(value: Any) -> Any:
    """Numbers come out of Pulumi's messages as floats."""
    return int(value) if isinstance(value, float) else value

"""Key pairs and security groups of EC2, in the words of `pulumi_aws`'s properties."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from infra.providers.aws_cloud import Cloud, Refused, code_of, identity, tag_list, tag_map
from infra.providers.aws_kind import Shape
from infra.providers.protocol import Properties

GONE_LIMIT_S = 300


class KeyPairs:
    """aws:ec2/keyPair:KeyPair."""

    shape = Shape(
        served=frozenset({"keyName", "publicKey", "tags"}),
        replaces=frozenset({"keyName", "publicKey"}),
        required=frozenset({"keyName", "publicKey", "tags"}),
    )

    def __init__(self, cloud: Cloud) -> None:
        """Args: where."""
        self._cloud, self._ec2 = cloud, cloud.ec2

    def create(self, urn: str, wanted: Properties) -> str:
        del urn
        real = self.read(wanted["keyName"], wanted)
        if real is None:
            self._ec2.import_key_pair(
                KeyName=wanted["keyName"],
                PublicKeyMaterial=wanted["publicKey"].encode(),
                TagSpecifications=[{"ResourceType": "key-pair", "Tags": tag_list(wanted["tags"])}],
            )
        elif _key(real["publicKey"]) != _key(wanted["publicKey"]):
            raise Refused(f"another key named {wanted['keyName']} exists; remove or rename it")
        return str(wanted["keyName"])

    def settle(self, id_: str, wanted: Properties) -> None:
        self.update(id_, self.read(id_, wanted) or {}, wanted)

    def read(self, id_: str, props: Properties) -> Properties | None:
        del props
        try:
            found = self._ec2.describe_key_pairs(KeyNames=[id_], IncludePublicKey=True)["KeyPairs"]
        except ClientError as error:
            if code_of(error) == "InvalidKeyPair.NotFound":
                return None
            raise
        real = found[0]
        return {
            "keyName": real["KeyName"],
            "keyPairId": real["KeyPairId"],
            "fingerprint": real.get("KeyFingerprint"),
            "publicKey": " ".join(_key(real.get("PublicKey", ""))),
            "tags": tag_map(real.get("Tags")),
        }

    def update(self, id_: str, real: Properties, wanted: Properties) -> None:
        del id_
        self._cloud.retag(real["keyPairId"], wanted["tags"], real["tags"])

    def delete(self, id_: str, props: Properties) -> None:
        del props
        self._ec2.delete_key_pair(KeyName=id_)


def _key(text: str) -> list[str]:
    """Kind and body of a public key; its comment is nobody's business."""
    return text.split()[:2]


class SecurityGroups:
    """aws:ec2/securityGroup:SecurityGroup, with its rules inside."""

    shape = Shape(
        served=frozenset({"name", "description", "vpcId", "ingress", "egress", "tags"}),
        replaces=frozenset({"name", "description", "vpcId"}),
        defaults={"ingress": [], "egress": []},
        required=frozenset({"name", "description", "tags"}),
    )

    def __init__(self, cloud: Cloud) -> None:
        """Args: where."""
        self._cloud, self._ec2 = cloud, cloud.ec2

    def create(self, urn: str, wanted: Properties) -> str:
        del urn
        request = {
            "GroupName": wanted["name"],
            "Description": wanted["description"],
            "TagSpecifications": [{"ResourceType": "security-group", "Tags": tag_list(wanted["tags"])}],
        }
        if wanted.get("vpcId"):
            request["VpcId"] = wanted["vpcId"]
        made = self._cloud.once(lambda: self._existing(wanted), "create_security_group", request, "")
        return str(made if isinstance(made, str) else made["GroupId"])

    def _existing(self, wanted: Properties) -> str | None:
        found = self._ec2.describe_security_groups(Filters=identity(wanted["tags"]))["SecurityGroups"]
        return str(found[0]["GroupId"]) if found else None

    def settle(self, id_: str, wanted: Properties) -> None:
        self._cloud.until(lambda: self.read(id_, wanted) is not None, limit_s=60, what=f"{id_} can be seen")
        self.update(id_, self.read(id_, wanted) or {}, wanted)

    def read(self, id_: str, props: Properties) -> Properties | None:
        del props
        try:
            (real,) = self._ec2.describe_security_groups(GroupIds=[id_])["SecurityGroups"]
        except ClientError as error:
            if code_of(error) in {"InvalidGroup.NotFound", "InvalidGroupId.Malformed"}:
                return None
            raise
        return {
            "name": real["GroupName"],
            "description": real["Description"],
            "vpcId": real.get("VpcId"),
            "ingress": [_rule(one) for one in real["IpPermissions"]],
            "egress": [_rule(one) for one in real["IpPermissionsEgress"]],
            "tags": tag_map(real.get("Tags")),
        }

    def update(self, id_: str, real: Properties, wanted: Properties) -> None:
        for way in ("ingress", "egress"):
            is_, should = (_spread(rules.get(way) or []) for rules in (real, wanted))
            if gone := [_permission(one) for one in sorted(is_ - should)]:
                getattr(self._ec2, f"revoke_security_group_{way}")(GroupId=id_, IpPermissions=gone)
            if new := [_permission(one) for one in sorted(should - is_)]:
                getattr(self._ec2, f"authorize_security_group_{way}")(GroupId=id_, IpPermissions=new)
        self._cloud.retag(id_, wanted["tags"], real["tags"])

    def delete(self, id_: str, props: Properties) -> None:
        """Remove it; a machine that is just ending holds it a moment longer."""
        del props
        self._cloud.until(lambda: self._removed(id_), limit_s=GONE_LIMIT_S, what=f"nothing uses {id_}")

    def _removed(self, id_: str) -> bool:
        try:
            self._ec2.delete_security_group(GroupId=id_)
        except ClientError as error:
            if code_of(error) in {"DependencyViolation", "InvalidGroup.InUse"}:
                return False
            if code_of(error) != "InvalidGroup.NotFound":
                raise
        return True


Way = tuple[str, int, int, str]


def _rule(real: dict[str, Any]) -> Properties:
    return {
        "protocol": real["IpProtocol"],
        "fromPort": real.get("FromPort", 0),
        "toPort": real.get("ToPort", 0),
        "cidrBlocks": sorted(one["CidrIp"] for one in real.get("IpRanges", [])),
        "ipv6CidrBlocks": sorted(one["CidrIpv6"] for one in real.get("Ipv6Ranges", [])),
    }


def _spread(rules: list[Properties]) -> set[Way]:
    return {
        (str(rule["protocol"]), int(rule.get("fromPort") or 0), int(rule.get("toPort") or 0), cidr)
        for rule in rules
        for key in ("cidrBlocks", "ipv6CidrBlocks")
        for cidr in rule.get(key) or []
    }


def _permission(way: Way) -> dict[str, Any]:
    protocol, first, last, cidr = way
    ports = {} if protocol == "-1" else {"FromPort": first, "ToPort": last}
    ranges = {"Ipv6Ranges": [{"CidrIpv6": cidr}]} if ":" in cidr else {"IpRanges": [{"CidrIp": cidr}]}
    return {"IpProtocol": protocol, **ports, **ranges}

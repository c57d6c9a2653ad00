"""Who may reach the hosts, and with which key we log in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.tags import tags
from infra.stack_aws import Aws
from infra.stack_config import StackConfig

SSH = 22


class Access(pulumi.ComponentResource):
    """A security group and a key pair for all hosts of a stack."""

    def __init__(
        self, name: str, *, config: StackConfig, given: Aws, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Args: the stack's configuration and its part about AWS."""
        super().__init__("axonos:infra:Access", name, None, opts)
        mine = pulumi.ResourceOptions(parent=self)
        label = f"axonos-{config.instance}-{config.stack}"
        self.key = aws.ec2.KeyPair(
            "key", key_name=label, public_key=given.public_key, tags=tags(config, label), opts=mine
        )
        self.group = aws.ec2.SecurityGroup(
            "hosts",
            name=label,
            description="AxonOS hosts: SSH for the operator, streams and shells for people",
            vpc_id=given.vpc_id,
            ingress=[*_ways(given)],
            egress=[_way("-1", 0, ("0.0.0.0/0", "::/0"), aws.ec2.SecurityGroupEgressArgs)],
            tags=tags(config, label),
            opts=mine,
        )
        self.register_outputs({"group": self.group.id, "key": self.key.key_name})


def _ways(given: Aws) -> Sequence[aws.ec2.SecurityGroupIngressArgs]:
    """In: SSH from where the operator is, streams from where people are."""
    ports = ((SSH, given.ssh_cidrs), (given.gateway_port, given.browser_cidrs))
    return [_way("tcp", port, cidrs, aws.ec2.SecurityGroupIngressArgs) for port, cidrs in ports if cidrs]


def _way(protocol: str, port: int, cidrs: Sequence[str], kind: Any) -> Any:
    four, six = ([cidr for cidr in cidrs if (":" in cidr) is wanted] for wanted in (False, True))
    return kind(
        protocol=protocol,
        from_port=port,
        to_port=port,
        cidr_blocks=four or None,
        ipv6_cidr_blocks=six or None,
    )

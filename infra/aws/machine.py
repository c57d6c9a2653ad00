"""One EC2 machine with the volume on which its homes lie, if they lie there. It outlives the machine."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.access import Access
from infra.aws.tags import tags
from infra.stack_aws import Aws, Pool
from infra.stack_config import StackConfig

# Nitro machines, and all with GPUs of today are, show it as an NVMe disk; udev keeps a link by volume ID.
DEVICE = "/dev/sdf"
LINK = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{}"


class Machine(pulumi.ComponentResource):
    """An instance, its encrypted and protected volume of homes, and the two joined; `whole` comes last."""

    def __init__(
        self,
        name: str,
        *,
        config: StackConfig,
        given: Aws,
        pool: Pool,
        access: Access,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args: the stack's configuration, its part about AWS, the pool it is of, who may reach it."""
        super().__init__("axonos:infra:Machine", name, None, opts)
        self.instance = self._instance(name, config, given, pool, access)
        self.homes_disk: pulumi.Output[str] | None = None
        self.whole: pulumi.Resource = self.instance
        outputs: dict[str, pulumi.Output[str]] = {"address": self.instance.public_ip}
        if pool.homes_gib:
            homes = self._homes(name, config, given, pool)
            self.homes_disk = homes.id.apply(lambda volume: LINK.format(volume.replace("-", "")))
            self.whole = self._joined(name, homes)
            outputs["homes"] = homes.id
        self.register_outputs(outputs)

    def _homes(self, name: str, config: StackConfig, given: Aws, pool: Pool) -> aws.ebs.Volume:
        return aws.ebs.Volume(
            f"{name}-homes",
            availability_zone=given.availability_zone,
            size=pool.homes_gib,
            type="gp3",
            encrypted=True,
            tags=tags(config, f"{name}-homes"),
            # Nothing but `destroy --with-homes` takes this away.
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )

    def _joined(self, name: str, homes: aws.ebs.Volume) -> aws.ec2.VolumeAttachment:
        return aws.ec2.VolumeAttachment(
            f"{name}-homes-joined",
            device_name=DEVICE,
            instance_id=self.instance.id,
            volume_id=homes.id,
            stop_instance_before_detaching=True,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _instance(
        self, name: str, config: StackConfig, given: Aws, pool: Pool, access: Access
    ) -> aws.ec2.Instance:
        return aws.ec2.Instance(
            name,
            ami=given.ami,
            instance_type=pool.instance_type,
            availability_zone=given.availability_zone,
            subnet_id=given.subnet_id,
            key_name=access.key.key_name,
            vpc_security_group_ids=[access.group.id],
            root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
                encrypted=True, volume_size=pool.root_gib, volume_type="gp3", delete_on_termination=True
            ),
            # Programs in a session never reach the machine's credentials with a plain request.
            metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            tags=tags(config, name),
            volume_tags=tags(config, f"{name}-root"),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

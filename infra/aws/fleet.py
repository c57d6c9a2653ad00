"""Everything of a stack of kind `aws`: access, machines, and the playbook runs that make hosts of them."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.access import Access
from infra.aws.machine import Machine
from infra.gpu_host import GpuHost
from infra.inventory import output_of
from infra.stack_aws import Aws, Pool
from infra.stack_config import StackConfig
from infra.stack_parts import Host


class AwsFleet(pulumi.ComponentResource):
    """The hosts of a stack in one region of AWS."""

    def __init__(
        self, name: str, *, config: StackConfig, given: Aws, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Args: the stack's configuration and its part about AWS."""
        super().__init__("axonos:infra:AwsFleet", name, None, opts)
        self._config, self._given = config, given
        self._mine = pulumi.ResourceOptions(parent=self, providers={"aws": _provider(given)})
        self._access = Access("access", config=config, given=given, opts=self._mine)
        self.hosts = [self._host(pool, host) for pool, host in given.hosts()]
        self.register_outputs({"hosts": self.hosts})

    def _host(self, pool: Pool, host: Host) -> pulumi.Output[dict[str, Any]]:
        machine = Machine(
            host.name,
            config=self._config,
            given=self._given,
            pool=pool,
            access=self._access,
            opts=self._mine,
        )
        address = machine.instance.public_ip
        converged = GpuHost(
            host.name,
            config=self._config,
            host=host,
            address=address,
            homes_disk=machine.homes_disk,
            opts=self._mine,
        )
        converged.converge_all(after=[machine.whole])
        return address.apply(lambda known: output_of(host, known))


def _provider(given: Aws) -> aws.Provider:
    """The region's provider; against another service, nothing is asked that only AWS answers."""
    if given.endpoint is None:
        return aws.Provider("aws", region=given.region)
    return aws.Provider(
        "aws",
        region=given.region,
        endpoints=[aws.ProviderEndpointArgs(ec2=given.endpoint)],
        skip_credentials_validation=True,
        skip_metadata_api_check=True,
        skip_requesting_account_id=True,
    )

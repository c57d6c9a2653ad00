"""Hosts that exist already, reached by SSH, as one component: each is brought to its state by playbooks."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.gpu_host import GpuHost
from infra.inventory import output_of
from infra.stack_config import StackConfig


class Fleet(pulumi.ComponentResource):
    """The hosts of a stack of kind `metal`. Nothing is made: removing the stack leaves the machines alone."""

    def __init__(self, name: str, *, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Args: the stack's configuration."""
        super().__init__("axonos:infra:Fleet", name, None, opts)
        self.hosts: list[pulumi.Output[dict[str, Any]]] = []
        for host in config.hosts:
            machine = GpuHost(host.name, config=config, host=host, opts=pulumi.ResourceOptions(parent=self))
            machine.converge_all()
            self.hosts.append(pulumi.Output.from_input(output_of(host, host.address)))
        self.register_outputs({"hosts": self.hosts})

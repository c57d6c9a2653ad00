"""Everything of one stack as one component: hosts, network, homes, image, services, in that order."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_docker as docker

from infra.desktop_image import DesktopImage
from infra.gpu_host import GpuHost
from infra.home_volume import HomeVolume
from infra.stack_config import StackConfig


class Platform(pulumi.ComponentResource):
    """One instance of AxonOS on its hosts.

    Playbooks that need no image run first: they bring Docker itself. Then come Docker's objects, and last
    the playbooks that need the image.
    """

    def __init__(
        self,
        name: str,
        *,
        config: StackConfig,
        image: pulumi.Output[dict[str, str]] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args: the configuration, and the image's `image_id` and `archive` once they are known."""
        super().__init__("axonos:infra:Platform", name, None, opts)
        hosts = [self._host(config, index) for index in range(len(config.hosts))]
        first = [
            host.converge(playbook)
            for host in hosts
            for playbook in config.playbooks
            if not playbook.after_image
        ]
        self.network = self._verification_network(config, first)
        self.homes = HomeVolume(
            "homes",
            instance=config.instance,
            folder=config.homes_dir,
            opts=pulumi.ResourceOptions(parent=self, depends_on=first),
        )
        self.image = self._image(config, image, first)
        self._last(config, hosts)
        self.register_outputs({"network": self.network.name, "homes": self.homes.volume.name})

    def _host(self, config: StackConfig, index: int) -> GpuHost:
        host = config.hosts[index]
        return GpuHost(host.name, config=config, host=host, opts=pulumi.ResourceOptions(parent=self))

    def _verification_network(self, config: StackConfig, after: Sequence[pulumi.Resource]) -> docker.Network:
        """Where a freshly built image is booted to be looked at: no way out, no way in."""
        return docker.Network(
            "verification",
            name=f"axonos-{config.instance}-verification",
            driver="bridge",
            internal=True,
            labels=[docker.NetworkLabelArgs(label="org.axonos.instance", value=config.instance)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _image(
        self,
        config: StackConfig,
        image: pulumi.Output[dict[str, str]] | None,
        after: Sequence[pulumi.Resource],
    ) -> DesktopImage | None:
        if image is None:
            return None
        return DesktopImage(
            "desktop",
            instance=config.instance,
            image_id=image["image_id"],
            archive=image["archive"],
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _last(self, config: StackConfig, hosts: list[GpuHost]) -> None:
        after: list[pulumi.Resource] = [self.network, self.homes]
        more = None
        if self.image is not None:
            after.append(self.image)
            more = self.image.image_id.apply(lambda known: {"axonos_image_id": known})
        for host in hosts:
            for playbook in config.playbooks:
                if playbook.after_image:
                    host.converge(playbook, more=more, after=after)

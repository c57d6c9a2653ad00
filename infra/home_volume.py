"""The data volume that holds every wallet's home on a host, bound to the folder where they lie."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_docker as docker


class HomeVolume(pulumi.ComponentResource):
    """A Docker volume over the homes folder. Removing the volume leaves the folder and the files in it."""

    def __init__(
        self, name: str, *, instance: str, folder: Path, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Args: the instance it belongs to, and the folder on the host."""
        super().__init__("axonos:infra:HomeVolume", name, None, opts)
        self.volume = docker.Volume(
            name,
            name=f"axonos-{instance}-homes",
            driver="local",
            driver_opts={"type": "none", "o": "bind", "device": str(folder)},
            labels=[docker.VolumeLabelArgs(label="org.axonos.instance", value=instance)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"name": self.volume.name})

"""Whatever of an instance is still in Docker, in the packet filter or mounted, found by label and name."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from infra.built_image import built_image
from infra.instance import Instance

LABEL = "org.axonos.instance"


def remove_containers(instance: Instance) -> list[str]:
    """Remove containers that are still there, with their networks; for after their sessions were ended."""
    with contextlib.suppress(DockerException):
        client = docker.from_env()
        label: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={instance.name}"}
        removed = []
        for container in client.containers.list(all=True, filters=label):
            with contextlib.suppress(NotFound):
                container.remove(force=True, v=True)
                removed.append(f"container {container.name}")
        slots = f"axonos-{instance.name}-s-"
        for network in client.networks.list(filters=label):
            if str(network.name).startswith(slots):
                network.remove()
                removed.append(f"network {network.name}")
        return removed
    return []


def remove_docker_objects(instance: Instance) -> list[str]:
    """Remove everything else of this instance from Docker: networks, volumes, and our names of images.

    An image that another instance uses too keeps the other's name.
    """
    removed = remove_containers(instance)
    client = docker.from_env()
    label: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={instance.name}"}
    for network in client.networks.list(filters=label):
        network.remove()
        removed.append(f"network {network.name}")
    for volume in client.volumes.list(filters=label):
        volume.remove(force=True)
        removed.append(f"volume {volume.name}")
    for image in client.images.list(name=f"axonos/{instance.name}-desktop"):
        for tag in [tag for tag in image.tags if tag.startswith(f"axonos/{instance.name}-desktop:")]:
            with contextlib.suppress(APIError):
                client.images.remove(tag)
                removed.append(f"image {tag}")
    return removed + _remove_built(client, instance)


def _remove_built(client: docker.DockerClient, instance: Instance) -> list[str]:
    """The image under the name its archive brought along, once no instance names it any more."""
    built = built_image(instance.state / "images")
    if built is None:  # the run that would have built it was broken off
        return []
    with contextlib.suppress(ImageNotFound, APIError):
        image = client.images.get(built.image_id)
        if all(tag.startswith("axonos/desktop:") for tag in image.tags):
            client.images.remove(str(image.id), force=True)
            return [f"image {str(image.id)[:19]}"]
    return []


def remove_packet_filter(instance: Instance) -> bool:
    """Take away the instance's nftables table; False if there was none."""
    table = "axonos_" + instance.name.replace("-", "_")
    done = subprocess.run(["nft", "delete", "table", "inet", table], capture_output=True, check=False)
    return done.returncode == 0


def mounted_below(folder: Path) -> list[str]:
    """What is mounted below a folder, innermost first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted({mount for mount in mounts if Path(mount).is_relative_to(folder)}, reverse=True)


def unmount_below(folder: Path) -> list[str]:
    """Unmount whatever is mounted below a folder, innermost first."""
    found = mounted_below(folder)
    for mount in found:
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    return [f"mount {mount}" for mount in found]

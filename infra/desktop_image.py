"""The desktop image in a host's Docker engine, by its ID: loaded from the builder's archive, never pulled.

The ID is the SHA-256 of the image's configuration, which names every layer's hash. It is computed from the
archive before anything is loaded, so an archive that holds something else is refused.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import docker
import pulumi
from docker.errors import ImageNotFound
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from infra.errors import ImageRefused

LOAD_TIMEOUT_S = 600


def archive_image_id(archive: Path) -> str:
    """The ID of the image in a `docker load` archive.

    Raises:
        ImageRefused: the file is no archive with exactly one image.
    """
    try:
        with tarfile.open(archive) as tar:
            (entry,) = json.load(_member(tar, "manifest.json"))
            config = _member(tar, entry["Config"]).read()
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise ImageRefused(f"{archive} is no archive with one image: {error!r}") from error
    return f"sha256:{hashlib.sha256(config).hexdigest()}"


def _member(tar: tarfile.TarFile, name: str) -> Any:
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


class LoadedImageProvider(ResourceProvider):
    """Loads, looks for and removes images on behalf of Pulumi's engine."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        wanted, archive = props["image_id"], Path(props["archive"])
        found = archive_image_id(archive)
        if found != wanted:
            raise ImageRefused(f"{archive} holds {found}, not {wanted}. Run `axonos image build`.")
        client = docker.from_env(timeout=LOAD_TIMEOUT_S)
        if not _present(client, wanted):
            with archive.open("rb") as content:
                _load(client, content, wanted)
        client.api.tag(wanted, props["repository"], props["tag"], force=True)
        return CreateResult(wanted, dict(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another ID or name is another image; where the archive lies does not matter."""
        changed = [key for key in ("image_id", "repository") if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Gone when either the image or its name is: an unnamed one would be swept away by a prune."""
        named = _present(docker.from_env(), f"{props['repository']}:{props['tag']}")
        return ReadResult(id_ if named == id_ else "", props if named == id_ else {})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Take our name away; Docker drops the image once no name and no container needs it."""
        client = docker.from_env()
        name = f"{props['repository']}:{props['tag']}"
        if _present(client, name):
            client.images.remove(name, force=True)


def _load(client: docker.DockerClient, content: Any, wanted: str) -> None:
    """Load the archive, and drop the names it brought along."""
    for image in client.images.load(content):
        if image.id != wanted:
            client.images.remove(str(image.id))
            raise ImageRefused(f"Docker made {image.id} of the archive, not {wanted}")


def _present(client: docker.DockerClient, name: str) -> str | None:
    try:
        return str(client.images.get(name).id)
    except ImageNotFound:
        return None


class LoadedImage(Resource, module="axonos", name="LoadedImage"):
    """One image in the local engine."""

    image_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        image_id: pulumi.Input[str],
        archive: pulumi.Input[str],
        repository: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args: the ID wanted, the archive that holds it, and the name it gets in Docker."""
        tag = pulumi.Output.from_input(image_id).apply(lambda known: known.removeprefix("sha256:")[:12])
        props = {"image_id": image_id, "archive": archive, "repository": repository, "tag": tag}
        super().__init__(LoadedImageProvider(), name, props, opts)


class DesktopImage(pulumi.ComponentResource):
    """The image that every session of this instance boots."""

    def __init__(
        self,
        name: str,
        *,
        instance: str,
        image_id: pulumi.Input[str],
        archive: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args: the instance, and the build's result, known perhaps only while the stack comes up."""
        super().__init__("axonos:infra:DesktopImage", name, None, opts)
        self.loaded = LoadedImage(
            name,
            image_id=image_id,
            archive=archive,
            repository=f"axonos/{instance}-desktop",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.image_id = self.loaded.image_id
        self.register_outputs({"image_id": self.image_id})

"""The Pulumi program: from a configuration and an image to the platform's resources and outputs."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pulumi

from infra.built_image import BuiltImage
from infra.fleet import Fleet
from infra.platform import Platform
from infra.stack_config import StackConfig

Image = BuiltImage | Future[BuiltImage] | None


def declare(config: StackConfig, image: Image) -> None:
    """Declare everything.

    Args:
        config: what the stack is made of.
        image: the desktop image; a future while it is still being built; None leaves the image out.
    """
    pulumi.export("instance", config.instance)
    if config.kind == "metal":
        pulumi.export("hosts", Fleet(config.stack, config=config).hosts)
        return
    if config.aws is not None:
        from infra.aws.fleet import AwsFleet  # noqa: PLC0415  its SDK is optional, and large

        pulumi.export("hosts", AwsFleet(config.stack, config=config, given=config.aws).hosts)
        return
    _declare_local(config, image)


def _declare_local(config: StackConfig, image: Image) -> None:
    known = None if image is None else image_output(image)
    platform = Platform(config.instance, config=config, image=known)
    pulumi.export("network", platform.network.name)
    pulumi.export("homes_volume", platform.homes.volume.name)
    if platform.image is not None:
        pulumi.export("image_id", platform.image.image_id)


def image_output(image: BuiltImage | Future[BuiltImage]) -> pulumi.Output[dict[str, str]]:
    """The image's ID and archive; unknown in a preview while the build still runs, awaited in an update."""
    if isinstance(image, BuiltImage):
        return pulumi.Output.from_input(_fields(image))
    if pulumi.runtime.is_dry_run() and not image.done():
        return _unknown()

    async def built() -> dict[str, str]:
        return _fields(await asyncio.wrap_future(image))

    return pulumi.Output.from_input(built())


def _fields(image: BuiltImage) -> dict[str, str]:
    return {"image_id": image.image_id, "archive": str(image.archive)}


def _unknown() -> pulumi.Output[dict[str, str]]:
    async def of(value: bool | None) -> bool | None:
        return value

    nothing = asyncio.ensure_future(of(None))
    known = asyncio.ensure_future(of(False))
    return pulumi.Output(set(), nothing, known)  # type: ignore[arg-type]

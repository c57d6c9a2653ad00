"""Serves the unmodified `pulumi_aws` SDK on EC2 where its own plugin cannot be downloaded.

Covers instances, volumes, their attachments, security groups and key pairs; anything else is refused by name.
State and types are the official plugin's, so a stack can change over to it. Started by Pulumi as
`pulumi-resource-aws`. Credentials are found by the AWS SDK and never written down.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any

from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2

from infra.providers.aws_cloud import Cloud, explain
from infra.providers.aws_instances import Instances
from infra.providers.aws_kind import Kind, differing
from infra.providers.aws_network import KeyPairs, SecurityGroups
from infra.providers.aws_volumes import Attachments, Volumes
from infra.providers.protocol import Properties, Quiet, not_ready, plain, serve, struct, told, type_of

VERSION = version("pulumi-aws")
KINDS: dict[str, Callable[[Cloud], Kind]] = {
    "aws:ec2/instance:Instance": Instances,
    "aws:ebs/volume:Volume": Volumes,
    "aws:ec2/volumeAttachment:VolumeAttachment": Attachments,
    "aws:ec2/securityGroup:SecurityGroup": SecurityGroups,
    "aws:ec2/keyPair:KeyPair": KeyPairs,
}
# What the SDK adds to every resource.
EVERYWHERE = frozenset({"region", "tagsAll"})


class AwsProvider(Quiet):
    """The provider protocol over the kinds."""

    version = VERSION

    def __init__(self, cloud: Cloud | None = None) -> None:
        """Args: a cloud; by default what `Configure` names."""
        self._cloud = cloud

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take region and endpoint; nested values arrive as JSON."""
        with _told(context):
            given = plain(request.args)
            endpoints = given.get("endpoints") or "[]"
            listed = json.loads(endpoints) if isinstance(endpoints, str) else endpoints
            endpoint = next((one["ec2"] for one in listed if one.get("ec2")), None)
            self._cloud = self._cloud or Cloud(given["region"], endpoint)
            return provider_pb2.ConfigureResponse(supportsPreview=True)

    def _kind(self, urn: str) -> Kind:
        found = KINDS.get(type_of(urn))
        if found is None:
            served = ", ".join(sorted(name.rsplit(":", maxsplit=1)[-1] for name in KINDS))
            raise ValueError(f"the bundled provider serves {served}, not {type_of(urn)}")
        assert self._cloud is not None, "the engine configures a provider before it asks"
        return found(self._cloud)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse properties that are not served, and name those that are missing."""
        with _told(context):
            news, shape = plain(request.news), self._kind(request.urn).shape
            named = {key for key, value in news.items() if value is not None and not key.startswith("__")}
            failures = [
                provider_pb2.CheckFailure(property=key, reason="not served by the bundled AWS provider")
                for key in sorted(named - shape.served - EVERYWHERE)
            ] + [
                provider_pb2.CheckFailure(property=key, reason="missing")
                for key in sorted(shape.required - set(news))
            ]
            return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare the thing, as last read, with what is wanted. A thing that is replaced goes first."""
        answer = provider_pb2.DiffResponse
        with _told(context):
            shape = self._kind(request.urn).shape
            real, wanted, former = (plain(p) for p in (request.olds, request.news, request.old_inputs))
            found = differing(real, wanted, former, shape)
            return answer(
                changes=answer.DIFF_SOME if found else answer.DIFF_NONE,
                diffs=found,
                replaces=[key for key in found if key in shape.replaces],
                deleteBeforeReplace=bool(set(found) & shape.replaces),
            )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Make it. Once it has an ID that is recorded, even if it does not become ready in time."""
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        wanted = plain(request.properties)
        with _told(context):
            kind = self._kind(request.urn)
            id_ = kind.create(request.urn, wanted)
        self._settle(kind, id_, wanted, context)
        with _told(context):
            return provider_pb2.CreateResponse(id=id_, properties=_state(kind, id_, wanted))

    def _settle(self, kind: Kind, id_: str, wanted: Properties, context: Any) -> None:
        try:
            kind.settle(id_, wanted)
        except Exception as error:  # noqa: BLE001  it exists: the engine has to keep its ID, whatever happened
            not_ready(context, "AWS", id_, wanted, explain(error))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The thing as it is; for an import, its inputs too."""
        with _told(context):
            kind = self._kind(request.urn)
            real = kind.read(request.id, plain(request.properties))
            if real is None:
                return provider_pb2.ReadResponse()
            inputs = plain(request.inputs) or {key: real[key] for key in kind.shape.served if real.get(key)}
            properties = _state(kind, request.id, {**inputs, **real})
            return provider_pb2.ReadResponse(id=request.id, properties=properties, inputs=struct(inputs))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        wanted = plain(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        with _told(context):
            kind = self._kind(request.urn)
            real = kind.read(request.id, plain(request.olds))
            if real is None:
                raise ValueError(f"{request.id} is gone: run it again, it is made anew")
            kind.update(request.id, real, wanted)
            kind.settle(request.id, wanted)
            return provider_pb2.UpdateResponse(properties=_state(kind, request.id, wanted))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            self._kind(request.urn).delete(request.id, plain(request.properties))
            return empty_pb2.Empty()

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """End all waiting; requests that are under way are finished and recorded."""
        if self._cloud is not None:
            self._cloud.cancelled.set()
        return empty_pb2.Empty()


def _state(kind: Kind, id_: str, wanted: Properties) -> Any:
    """Inputs, and over them the thing as it is."""
    real = kind.read(id_, wanted) or {}
    return struct({**wanted, **{key: value for key, value in real.items() if value is not None}})


def _told(context: Any) -> AbstractContextManager[None]:
    return told(context, "AWS", explain)


if __name__ == "__main__":
    serve(AwsProvider())

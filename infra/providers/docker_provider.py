"""Serves the unmodified `pulumi_docker` SDK on the real engine where its own plugin cannot be downloaded.

Covers networks and volumes; anything else is refused by name. State and types are the official plugin's,
so a stack can change over to it. Started by Pulumi as `pulumi-resource-docker`; writes its port, then serves.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any

import docker
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2

from infra.providers.docker_objects import (
    NETWORK,
    VOLUME,
    Kind,
    Networks,
    Shape,
    Volumes,
    differing,
)
from infra.providers.protocol import Quiet, plain, serve, struct, told, type_of

VERSION = version("pulumi-docker")
SHAPES: dict[str, Shape] = {
    "docker:index/network:Network": NETWORK,
    "docker:index/volume:Volume": VOLUME,
}


class DockerProvider(Quiet):
    """The provider protocol over `docker_objects`."""

    version = VERSION

    def __init__(self, client: docker.DockerClient | None = None) -> None:
        """Args: a client; by default one is made at the first use, the engine may not run before."""
        self._client = client
        self._lock = threading.Lock()

    def _kind(self, urn: str) -> Kind:
        with self._lock:
            self._client = self._client or docker.from_env()
        return Networks(self._client) if _shape(urn) is NETWORK else Volumes(self._client)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Fill in the name, refuse properties that are not served."""
        with _told(context):
            return self._check(request)

    def _check(self, request: Any) -> Any:
        news, olds = plain(request.news), plain(request.olds)
        base = request.urn.split("::")[-1]
        news.setdefault("name", olds.get("name") or f"{base}-{secrets.token_hex(4)[:7]}")
        served = _shape(request.urn).served
        failures = [
            provider_pb2.CheckFailure(property=key, reason="not served by the bundled Docker provider")
            for key in sorted(set(news) - served)
            if not key.startswith("__") and news[key] is not None
        ]
        return provider_pb2.CheckResponse(inputs=struct(news), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare what is recorded of the object, as last read, with what is wanted."""
        answer = provider_pb2.DiffResponse
        with _told(context):
            olds, news, former = (plain(p) for p in (request.olds, request.news, request.old_inputs))
            found = differing(olds, news, former, _shape(request.urn))
            return answer(
                changes=answer.DIFF_SOME if found else answer.DIFF_NONE,
                diffs=found,
                replaces=found,
                deleteBeforeReplace=bool(found),
            )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        wanted = plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        with _told(context):
            kind = self._kind(request.urn)
            id_ = kind.create(wanted)
            return provider_pb2.CreateResponse(id=id_, properties=struct(kind.read(id_) or wanted))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The object as it is; for an import, its inputs too."""
        with _told(context):
            kind = self._kind(request.urn)
            real = kind.read(request.id)
            if real is None:
                return provider_pb2.ReadResponse()
            inputs = plain(request.inputs) or {
                key: real[key] for key in _shape(request.urn).served if real.get(key)
            }
            return provider_pb2.ReadResponse(id=request.id, properties=struct(real), inputs=struct(inputs))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            self._kind(request.urn).delete(request.id)
            return empty_pb2.Empty()


def _shape(urn: str) -> Shape:
    token = type_of(urn)
    if token not in SHAPES:
        raise ValueError(f"the bundled provider serves networks and volumes, not {token}")
    return SHAPES[token]


def _told(context: Any) -> AbstractContextManager[None]:
    return told(context, "Docker", lambda error: str(getattr(error, "explanation", None) or error))


if __name__ == "__main__":
    serve(DockerProvider())

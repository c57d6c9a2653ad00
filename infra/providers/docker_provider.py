"""Serves the unmodified `pulumi_docker` SDK on the real engine where its own plugin cannot be downloaded.

Covers networks and volumes; anything else is refused by name. State and types are the official plugin's,
so a stack can change over to it. Started by Pulumi as `pulumi-resource-docker`; writes its port, then serves.
"""

from __future__ import annotations

import secrets
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import docker
import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.providers.docker_objects import (
    NETWORK,
    VOLUME,
    Kind,
    Networks,
    Properties,
    Shape,
    Volumes,
    differing,
)
from infra.providers.parent import end_with_parent

VERSION = version("pulumi-docker")
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SHAPES: dict[str, Shape] = {
    "docker:index/network:Network": NETWORK,
    "docker:index/volume:Volume": VOLUME,
}


class DockerProvider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider protocol over `docker_objects`."""

    def __init__(self, client: docker.DockerClient | None = None) -> None:
        """Args: a client; by default one is made at the first use, the engine may not run before."""
        self._client = client
        self._lock = threading.Lock()

    def _kind(self, urn: str) -> Kind:
        with self._lock:
            self._client = self._client or docker.from_env()
        return Networks(self._client) if _shape(urn) is NETWORK else Volumes(self._client)

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def Handshake(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Fill in the name, refuse properties that are not served."""
        with _told(context):
            return self._check(request)

    def _check(self, request: Any) -> Any:
        news, olds = _plain(request.news), _plain(request.olds)
        base = request.urn.split("::")[-1]
        news.setdefault("name", olds.get("name") or f"{base}-{secrets.token_hex(4)[:7]}")
        served = _shape(request.urn).served
        failures = [
            provider_pb2.CheckFailure(property=key, reason="not served by the bundled Docker provider")
            for key in sorted(set(news) - served)
            if not key.startswith("__") and news[key] is not None
        ]
        return provider_pb2.CheckResponse(inputs=_struct(news), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare what is recorded of the object, as last read, with what is wanted."""
        answer = provider_pb2.DiffResponse
        with _told(context):
            olds, news, former = (_plain(p) for p in (request.olds, request.news, request.old_inputs))
            found = differing(olds, news, former, _shape(request.urn))
            return answer(
                changes=answer.DIFF_SOME if found else answer.DIFF_NONE,
                diffs=found,
                replaces=found,
                deleteBeforeReplace=bool(found),
            )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        wanted = _plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        with _told(context):
            kind = self._kind(request.urn)
            id_ = kind.create(wanted)
            return provider_pb2.CreateResponse(id=id_, properties=_struct(kind.read(id_) or wanted))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The object as it is; for an import, its inputs too."""
        with _told(context):
            kind = self._kind(request.urn)
            real = kind.read(request.id)
            if real is None:
                return provider_pb2.ReadResponse()
            inputs = _plain(request.inputs) or {
                key: real[key] for key in _shape(request.urn).served if real.get(key)
            }
            return provider_pb2.ReadResponse(id=request.id, properties=_struct(real), inputs=_struct(inputs))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            self._kind(request.urn).delete(request.id)
            return empty_pb2.Empty()

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()


def _shape(urn: str) -> Shape:
    token = urn.split("::")[2].rsplit("$", maxsplit=1)[-1]
    if token not in SHAPES:
        raise ValueError(f"the bundled provider serves networks and volumes, not {token}")
    return SHAPES[token]


@contextmanager
def _told(context: Any) -> Iterator[None]:
    """Turn an error into the one line that Pulumi shows beside the resource."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  whatever it is, the engine has to hear of it
        context.abort(grpc.StatusCode.UNKNOWN, f"Docker: {getattr(error, 'explanation', None) or error}")


def _plain(properties: struct_pb2.Struct) -> Properties:
    found: Properties = json_format.MessageToDict(properties)
    return {key: None if value == UNKNOWN else value for key, value in found.items()}


def _struct(properties: Properties) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update({key: value for key, value in properties.items() if value is not None})
    return made


def main() -> None:
    """Serve until the engine that started this process is gone."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(DockerProvider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    end_with_parent()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()

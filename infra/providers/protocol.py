"""What our bundled providers share: the quiet half of Pulumi's provider protocol, and its kinds of values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from infra.providers.parent import end_with_parent

Properties = dict[str, Any]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Quiet(provider_pb2_grpc.ResourceProviderServicer):
    """Answers every question that needs no cloud."""

    version = ""

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=self.version)

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

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()


@contextmanager
def told(context: Any, who: str, explain: Callable[[Exception], str] = str) -> Iterator[None]:
    """Turn an error into the one line that Pulumi shows beside the resource."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  whatever it is, the engine has to hear of it
        context.abort(grpc.StatusCode.UNKNOWN, f"{who}: {explain(error)}")


def not_ready(context: Any, who: str, id_: str, properties: Properties, why: str) -> None:
    """Fail, but have the engine record the resource, which exists: the next run goes on with it.

    Args:
        context: of the call.
        who: the cloud.
        id_: the resource's ID.
        properties: as far as they are known; inputs among them.
        why: what is missing.
    """
    detail = provider_pb2.ErrorResourceInitFailed(
        id=id_, properties=struct(properties), reasons=[why], inputs=struct(properties)
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=f"{who}: {why}")
    packed = status.details.add()
    packed.Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, f"{who}: {why}")


def type_of(urn: str) -> str:
    """A resource's type, without its parents'."""
    return urn.split("::")[2].rsplit("$", maxsplit=1)[-1]


def plain(properties: struct_pb2.Struct) -> Properties:
    """A message's properties; those not known yet are None."""
    found: Properties = json_format.MessageToDict(properties)
    return {key: None if value == UNKNOWN else value for key, value in found.items()}


def struct(properties: Properties) -> struct_pb2.Struct:
    """Properties as a message, without those that are None."""
    made = struct_pb2.Struct()
    made.update({key: value for key, value in properties.items() if value is not None})
    return made


def serve(provider: provider_pb2_grpc.ResourceProviderServicer) -> None:
    """Write the port, then serve until the engine that started this process is gone."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    end_with_parent()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()

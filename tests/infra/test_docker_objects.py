import json

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2

from infra.providers.docker_objects import NETWORK, VOLUME, differing
from infra.providers.docker_provider import DockerProvider
from infra.providers.protocol import UNKNOWN

NETWORK_URN = "urn:pulumi:local::axonos::axonos:infra:Platform$docker:index/network:Network::verification"
CONTAINER_URN = "urn:pulumi:local::axonos::docker:index/container:Container::web"
LABELS = [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}]


def struct(properties):
    return json_format.Parse(json.dumps(properties), struct_pb2.Struct())


def test_docker_defaults_and_the_order_of_labels_are_no_difference():
    real = {"name": "n", "driver": "bridge", "internal": True, "labels": LABELS[::-1], "options": {}}
    wanted = {"name": "n", "internal": True, "labels": LABELS}
    assert differing(real, wanted, wanted, NETWORK) == []
    assert differing({**real, "internal": False}, wanted, wanted, NETWORK) == ["internal"]
    assert differing({**real, "labels": []}, wanted, wanted, NETWORK) == ["labels"]


def test_a_property_that_is_no_longer_wanted_counts():
    former = {"name": "n", "driverOpts": {"type": "none"}}
    real = {"name": "n", "driver": "local", "driverOpts": {"type": "none"}, "labels": []}
    assert differing(real, {"name": "n"}, former, VOLUME) == ["driverOpts"]


def test_a_difference_is_a_replacement_that_deletes_first():
    wanted = {"name": "n", "internal": True}
    request = provider_pb2.DiffRequest(
        urn=NETWORK_URN,
        olds=struct({"name": "n", "internal": False}),
        news=struct(wanted),
        old_inputs=struct(wanted),
    )
    answer = DockerProvider().Diff(request, None)
    assert list(answer.replaces) == ["internal"]
    assert answer.deleteBeforeReplace


def test_a_name_is_made_once_and_kept():
    check = DockerProvider().Check
    first = check(provider_pb2.CheckRequest(urn=NETWORK_URN, news=struct({})), None)
    name = first.inputs["name"]
    assert name.startswith("verification-")
    again = check(provider_pb2.CheckRequest(urn=NETWORK_URN, news=struct({}), olds=first.inputs), None)
    assert again.inputs["name"] == name


def test_a_property_that_is_not_served_is_refused_by_name():
    request = provider_pb2.CheckRequest(urn=NETWORK_URN, news=struct({"name": "n", "ingress": True}))
    failures = DockerProvider().Check(request, None).failures
    assert [failure.property for failure in failures] == ["ingress"]


class Context:
    def abort(self, _code, message):
        raise RuntimeError(message)


def test_another_type_is_refused_by_name():
    request = provider_pb2.CheckRequest(urn=CONTAINER_URN, news=struct({"name": UNKNOWN}))
    with pytest.raises(RuntimeError, match="not docker:index/container:Container"):
        DockerProvider().Check(request, Context())


def test_a_preview_makes_nothing():
    request = provider_pb2.CreateRequest(urn=NETWORK_URN, properties=struct({"name": "n"}), preview=True)
    assert DockerProvider(client=None).Create(request, None).id == ""

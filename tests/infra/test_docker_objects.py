import json

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2

from infra.providers.docker_objects import NETWORK, VOLUME, Networks, differing
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


class Engine:
    """A Docker client with one network, by the name `n`."""

    def __init__(self, **real):
        self.api, self.real, self.asked = (
            self,
            {"Name": "n", "Driver": "bridge", "Internal": False} | real,
            [],
        )

    def networks(self, names):
        return [{"Id": "old", "Name": "n"}]

    def inspect_network(self, _id):
        nothing = dict.fromkeys(("Attachable", "EnableIPv6"), False)
        return (
            nothing
            | {"Scope": "local", "Options": {}, "IPAM": {"Driver": "default", "Config": []}}
            | self.real
        )

    def remove_network(self, id_):
        self.asked.append(("remove", id_))

    def create_network(self, name, **options):
        self.asked.append(("create", options["internal"]))
        return {"Id": "new"}


OURS = {"name": "n", "internal": True, "labels": [{"label": "org.axonos.instance", "value": "trial"}]}


def test_a_network_of_ours_that_was_altered_makes_way_and_nobody_elses_does():
    altered = Engine(Labels={"org.axonos.instance": "trial"})
    assert Networks(altered).create(OURS) == "new"
    assert altered.asked == [("remove", "old"), ("create", True)]
    left = Engine(Labels={"org.axonos.instance": "trial"}, Internal=True)
    assert (Networks(left).create(OURS), left.asked) == ("old", []), (
        "what a broken-off run left is taken over"
    )
    for labels in ({}, {"org.axonos.instance": "another"}):
        with pytest.raises(ValueError, match="a different network named n exists"):
            Networks(Engine(Labels=labels)).create(OURS)

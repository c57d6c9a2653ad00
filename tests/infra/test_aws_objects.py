"""The bundled AWS provider's rules: what differs, what may be tried again, what is said."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2

from infra.providers.aws_cloud import Cloud, Refused, explain, identity, passing
from infra.providers.aws_instances import Instances
from infra.providers.aws_kind import differing
from infra.providers.aws_network import SecurityGroups
from infra.providers.aws_provider import AwsProvider
from infra.providers.aws_volumes import Volumes

TAGS = {"Name": "gpu-0", "axonos:instance": "trial", "axonos:stack": "gpu"}
URN = "urn:pulumi:cloud::axonos::axonos:infra:Machine${}::gpu-0"


def error(code, status=400):
    said = {"Error": {"Code": code, "Message": "as told"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "RunInstances")


def test_numbers_of_pulumi_and_parts_that_nobody_named_are_no_difference():
    real = {"size": 50, "type": "gp3", "iops": 3000, "encrypted": True, "tags": TAGS}
    wanted = {"size": 50.0, "encrypted": True, "tags": TAGS}
    assert differing(real, wanted, wanted, Volumes.shape) == []
    assert differing({**real, "size": 40}, wanted, wanted, Volumes.shape) == ["size"]
    assert differing({**real, "tags": {**TAGS, "owner": "x"}}, wanted, wanted, Volumes.shape) == ["tags"]
    root = {"encrypted": True, "volumeSize": 100.0}
    machine = {"rootBlockDevice": {**root, "volumeId": "vol-1", "deleteOnTermination": True}}
    assert differing(machine, {"rootBlockDevice": root}, {}, Instances.shape) == []
    machine["rootBlockDevice"]["volumeSize"] = 8
    assert differing(machine, {"rootBlockDevice": root}, {}, Instances.shape) == ["rootBlockDevice"]


def test_ways_into_a_group_are_a_set_however_they_are_grouped():
    def way(*cidrs, port=22):
        return {"protocol": "tcp", "fromPort": port, "toPort": port, "cidrBlocks": list(cidrs)}

    real = {"ingress": [way("10.0.0.0/8", "203.0.113.0/24"), way("0.0.0.0/0", port=443)]}
    wanted = {"ingress": [way("0.0.0.0/0", port=443), way("203.0.113.0/24"), way("10.0.0.0/8")]}
    assert differing(real, wanted, wanted, SecurityGroups.shape) == []
    assert differing(real, {"ingress": wanted["ingress"][:2]}, wanted, SecurityGroups.shape) == ["ingress"]
    every = {"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}
    shown = {"egress": [{**every, "fromPort": -1, "toPort": -1}]}
    assert differing(shown, {"egress": [every]}, {}, SecurityGroups.shape) == []


@pytest.mark.parametrize(
    ("what", "again"),
    [
        (error("RequestLimitExceeded", 503), True),
        (error("Anything", 500), True),
        (EndpointConnectionError(endpoint_url="http://x"), True),
        (error("UnauthorizedOperation", 403), False),
        (error("InsufficientInstanceCapacity"), False),
        (NoCredentialsError(), False),
    ],
)
def test_only_what_passes_is_tried_again(what, again):
    assert passing(what) is again


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (error("RequestLimitExceeded", 503), "run it again"),
        (error("UnauthorizedOperation", 403), "extend their policy"),
        (error("InsufficientInstanceCapacity"), "try later"),
        (error("InvalidAMIID.NotFound"), "correct `ami`"),
        (NoCredentialsError(), "AWS_PROFILE"),
        (error("Odd"), "RunInstances: as told (Odd)"),
    ],
)
def test_an_error_says_what_to_do(what, words):
    assert words in explain(what)


def test_what_cannot_be_found_again_is_not_made():
    with pytest.raises(Refused, match="axonos:stack"):
        identity({"Name": "a", "axonos:instance": "b"})


def cloud():
    """A cloud that is never asked, and waits for nothing."""
    pauses = []
    made = Cloud("us-east-1", "http://127.0.0.1:9", pause=pauses.append)
    return made, pauses


def test_before_each_try_it_looks_for_what_the_last_one_made(monkeypatch):
    made, pauses = cloud()
    sent, seen = [], iter([None, None, "i-1"])

    class Single:
        @staticmethod
        def run_instances(**request):
            sent.append(request["ClientToken"])
            raise error("InternalError", 500)

    monkeypatch.setattr(made, "_single", Single)
    assert made.once(lambda: next(seen), "run_instances", {}, "token") == "i-1"
    assert sent == ["token", "token"], "the same token each time"
    assert pauses == [0.5, 1.0]


def test_it_gives_up_after_a_while_with_the_last_reason(monkeypatch):
    made, pauses = cloud()

    class Single:
        @staticmethod
        def run_instances(**_):
            raise error("RequestLimitExceeded", 503)

    monkeypatch.setattr(made, "_single", Single)
    with pytest.raises(ClientError):
        made.once(lambda: None, "run_instances", {}, "token")
    assert len(pauses) == 7
    assert max(pauses) <= 20


def test_an_interruption_ends_the_waiting():
    made, _ = cloud()
    AwsProvider(made).Cancel(None, None)
    with pytest.raises(Refused, match="run it again"):
        made.until(lambda: False, limit_s=600, what="it runs")


def test_what_is_not_served_or_missing_is_named():
    inputs = struct_pb2.Struct()
    inputs.update({"ami": "ami-1", "tags": TAGS, "userData": "#!/bin/sh", "region": "us-east-1"})
    request = provider_pb2.CheckRequest(urn=URN.format("aws:ec2/instance:Instance"), news=inputs)
    failures = AwsProvider(cloud()[0]).Check(request, None).failures
    assert {(f.property, f.reason) for f in failures} == {
        ("userData", "not served by the bundled AWS provider"),
        ("instanceType", "missing"),
    }


def test_another_machine_image_is_another_machine_and_a_type_is_not():
    def diff(**more):
        olds, news = struct_pb2.Struct(), struct_pb2.Struct()
        olds.update({"ami": "ami-1", "instanceType": "g5.xlarge"})
        news.update({"ami": "ami-1", "instanceType": "g5.xlarge", **more})
        urn = URN.format("aws:ec2/instance:Instance")
        return AwsProvider(cloud()[0]).Diff(provider_pb2.DiffRequest(urn=urn, olds=olds, news=news), None)

    assert list(diff(instanceType="g5.12xlarge").replaces) == []
    assert list(diff(ami="ami-2").replaces) == ["ami"]
    assert diff(ami="ami-2").deleteBeforeReplace
    assert not list(diff().diffs)

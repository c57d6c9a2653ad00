"""The rules over a plan, each with what it lets pass and what it stops."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.policy import Planned, Policy, judge
from infra.policy.network import world
from infra.policy.planned import GROUP, GROUP_RULE, INGRESS_RULE, INSTANCE, UNKNOWN, VOLUME

TAGS = {"Name": "a", "axonos:instance": "trial", "axonos:stack": "gpu"}
FREE = Policy(tags=())


def group(**way):
    return Planned(GROUP, "hosts", "create", {"ingress": [{"protocol": "tcp", **way}], "tags": TAGS})


def instance(name="gpu-0", op="create", **more):
    inputs = {"instanceType": "g5.xlarge", "rootBlockDevice": {"encrypted": True, "volumeSize": 100}}
    return Planned(INSTANCE, name, op, {**inputs, "tags": TAGS, **more})


def volume(op="create", *, protect=True, **more):
    inputs = {"encrypted": True, "size": 500, "type": "gp3", "tags": TAGS, **more}
    return Planned(VOLUME, "gpu-0-homes", op, inputs, protect=protect)


def rules(*plan, policy=None):
    return [(v.rule, v.resource) for v in judge(plan, policy or Policy())]


def test_a_plan_as_we_make_it_passes():
    ssh = group(fromPort=22, toPort=22, cidrBlocks=["203.0.113.0/24"])
    pages = group(fromPort=443, toPort=443, cidrBlocks=["0.0.0.0/0"])
    assert rules(ssh, pages, instance(), volume(), policy=Policy(monthly_cap_usd=1000)) == []


@pytest.mark.parametrize(
    "way",
    [
        {"fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]},
        {"fromPort": 22, "toPort": 22, "ipv6CidrBlocks": ["::/0"]},
        {"fromPort": 0, "toPort": 65535, "cidrBlocks": ["10.0.0.0/8", "0.0.0.0/0"]},
        {"fromPort": 0, "toPort": 0, "protocol": "-1", "cidrBlocks": ["0.0.0.0/0"]},
        {"fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/1", "128.0.0.0/1"]},
        {"fromPort": 22, "toPort": 22, "cidrBlocks": [UNKNOWN]},
        {"fromPort": UNKNOWN, "toPort": UNKNOWN, "cidrBlocks": ["0.0.0.0/0"]},
    ],
)
def test_ssh_open_to_the_world_is_refused_in_every_disguise(way):
    assert set(rules(group(**way))) == {("open_ssh", "hosts")}


@pytest.mark.parametrize(
    "planned",
    [
        Planned(
            GROUP_RULE, "r", "create", {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"], "protocol": "-1"}
        ),
        Planned(
            INGRESS_RULE,
            "r",
            "same",
            {"cidrIpv4": "0.0.0.0/0", "ipProtocol": "tcp", "fromPort": 20, "toPort": 30},
        ),
    ],
)
def test_a_rule_beside_the_group_counts_too_changed_or_not(planned):
    assert rules(planned) == [("open_ssh", "r")]


def test_ways_out_other_ports_and_what_goes_away_do_not_count():
    way_out = {"type": "egress", "cidrBlocks": ["0.0.0.0/0"], "protocol": "-1"}
    udp = group(fromPort=22, toPort=22, protocol="udp", cidrBlocks=["0.0.0.0/0"])
    gone = Planned(GROUP, "old", "delete", group(fromPort=22, toPort=22, cidrBlocks=["0.0.0.0/0"]).inputs)
    assert rules(Planned(GROUP_RULE, "r", "create", way_out), udp, gone) == []


@given(st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_no_few_blocks_can_make_up_the_internet(address, bits):
    assert world(f"{ipaddress.ip_address(address)}/{bits}")


@pytest.mark.parametrize("private", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"])
def test_private_networks_are_not_the_world(private):
    assert not world(private)


def test_disks_are_encrypted_each_of_them():
    plain = instance(rootBlockDevice={"volumeSize": 8}, ebsBlockDevices=[{"deviceName": "/dev/sdf"}])
    said = [str(v) for v in judge([volume(encrypted=False), plain], FREE)]
    assert said == [
        "gpu-0-homes: the volume is not encrypted [encrypted]",
        "gpu-0: its root disk is not encrypted [encrypted]",
        "gpu-0: its disk /dev/sdf is not encrypted [encrypted]",
    ]
    assert rules(volume(encrypted=UNKNOWN), policy=FREE) == [("encrypted", "gpu-0-homes")]


def test_a_missing_tag_is_named():
    (found,) = judge([instance(tags={"Name": "a"})], Policy())
    assert found.why == "lacks the tags axonos:instance, axonos:stack"


def test_the_whole_plan_stays_under_the_cap_to_the_dollar():
    # 1.006 $ x 730 h + 100 GiB x 0.10 $ + 500 GiB x 0.08 $ = 784.38 $
    plan = (instance(), volume())
    assert rules(*plan, policy=Policy(monthly_cap_usd=785)) == []
    (found,) = judge(plan, Policy(monthly_cap_usd=784))
    assert found.why == "costs $785 a month, the cap is $784"
    assert rules(*plan, instance("gpu-1", "delete"), policy=Policy(785, released=frozenset({"gpu-1"}))) == []


def test_what_has_no_price_is_refused_under_a_cap_unless_the_operator_prices_it():
    odd = instance(instanceType="x9.huge")
    assert rules(odd, policy=Policy(monthly_cap_usd=10**6)) == [("cost", "gpu-0")]
    assert rules(odd, policy=Policy(10**6, {"x9.huge": 5_000_000})) == []
    assert rules(odd) == []


@pytest.mark.parametrize("op", ["delete", "replace"])
def test_homes_do_not_go_unless_that_is_said(op):
    assert rules(volume(op)) == [("homes", "gpu-0-homes")]
    assert rules(volume(op), policy=Policy(homes_may_go=True)) == []
    assert rules(volume(op), policy=Policy(released=frozenset({"gpu-0"}))) == [], "its homes were sent away"
    assert rules(volume(op), policy=Policy(released=frozenset({"gpu-1"}))) == [("homes", "gpu-0-homes")]
    assert rules(volume(protect=False)) == [("homes", "gpu-0-homes")]


@pytest.mark.parametrize("op", ["delete", "replace"])
def test_a_host_ends_only_when_it_was_released(op):
    (found,) = judge([instance(op=op)], Policy())
    assert "axonos hosts drain gpu-0" in found.why
    assert rules(instance(op=op), policy=Policy(released=frozenset({"gpu-0"}))) == []

"""Instances beside each other on one host hand out networks that do not overlap."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Network
from pathlib import Path

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

DEFAULTS = Path(__file__).parents[2] / "playbooks/roles/host_services/defaults/main.yml"
NAMES = ("axonos", "axtest", "blue", "green", "staging", "second")


def pool(instance: str) -> IPv4Network:
    told = {name: trust_as_template(text) for name, text in yaml.safe_load(DEFAULTS.read_text()).items()}
    templar = Templar(loader=DataLoader(), variables={**told, "instance_name": instance})
    return IPv4Network(str(templar.template(told["host_services__subnet_pool"])).strip())


def test_the_first_instance_has_the_documented_pool() -> None:
    assert str(pool("axonos")) == "10.213.0.0/16"


def test_every_further_one_has_its_own() -> None:
    pools = [pool(name) for name in NAMES]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(pools, 2))
    assert {one.prefixlen for one in pools[1:]} == {20}
    assert pool("blue") == pool("blue")

"""SSH is never open to the world. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from infra.policy.planned import GROUP, GROUP_RULE, INGRESS_RULE, UNKNOWN, Planned, Policy, Violation, staying

SSH = 22
# Halves or quarters of the Internet are the world too.
WIDEST = {4: 8, 6: 29}
_PRIVATE = frozenset({ipaddress.ip_network("fc00::/7"), ipaddress.ip_network("fd00::/8")})
_EVERY_PROTOCOL = {"-1", "all"}
_CIDRS = ("cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6")


def open_ssh(plan: list[Planned], _policy: Policy) -> Iterator[Violation]:
    """Ways in that let the world reach port 22, in a group itself or in a rule beside it."""
    for planned in staying(plan, GROUP, GROUP_RULE, INGRESS_RULE):
        for way in _ways_in(planned):
            yield from (Violation("open_ssh", planned.name, why) for why in _faults(way))


def _ways_in(planned: Planned) -> list[Mapping[str, Any]]:
    inputs = planned.inputs
    if planned.type == GROUP:
        ways = inputs.get("ingress") or []
        return [{"cidrBlocks": [UNKNOWN], "protocol": "-1"}] if ways == UNKNOWN else list(ways)
    if planned.type == GROUP_RULE and inputs.get("type") != "ingress":
        return []
    return [inputs]


def _faults(way: Mapping[str, Any]) -> Iterator[str]:
    if not _reaches_ssh(way):
        return
    for key in _CIDRS:
        given = way.get(key) or []
        for cidr in [given] if isinstance(given, str) else given:
            if cidr == UNKNOWN:
                yield "who may reach port 22 is not known before the stack is up"
            elif world(cidr):
                yield f"port 22 is open to {cidr}"


def _reaches_ssh(way: Mapping[str, Any]) -> bool:
    protocol = str(way.get("protocol") or way.get("ipProtocol") or "tcp").lower()
    if protocol in _EVERY_PROTOCOL:
        return True
    if protocol not in {"tcp", "6", UNKNOWN}:
        return False
    first, last = way.get("fromPort"), way.get("toPort")
    if UNKNOWN in {first, last} or first is None or last is None:
        return True
    return int(first) <= SSH <= int(last)


def world(cidr: str) -> bool:
    """Whether a block of addresses is so wide that it stands for the Internet.

    >>> world("0.0.0.0/0"), world("203.0.113.0/24")
    (True, False)
    """
    block = ipaddress.ip_network(cidr, strict=False)
    return block.prefixlen < WIDEST[block.version] and block not in _PRIVATE

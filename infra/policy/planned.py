"""What the rules look at, and what they answer with. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# What Pulumi writes in a plan for a value that is known only while the stack comes up.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
GOING = frozenset({"delete", "replace", "delete-replaced"})

INSTANCE = "aws:ec2/instance:Instance"
VOLUME = "aws:ebs/volume:Volume"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
GROUP_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


@dataclass(frozen=True)
class Planned:
    """One resource of a plan: `op` is what the engine would do, `inputs` are as wanted."""

    type: str
    name: str
    op: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False

    @property
    def stays(self) -> bool:
        """Whether it exists once the plan is carried out."""
        return self.op not in {"delete", "delete-replaced"}


@dataclass(frozen=True)
class Policy:
    """What one stack allows.

    Args:
        monthly_cap_usd: highest cost of a month of 730 hours; None for no cap.
        prices_micro_usd: price of an instance type's hour, in millionths of a dollar, before our own table.
        tags: names that every taggable resource bears.
        released: hosts that may end or be replaced, with their volumes: nothing runs or lies there any more.
        homes_may_go: whether volumes with homes on them may be removed.
    """

    monthly_cap_usd: int | None = None
    prices_micro_usd: Mapping[str, int] = field(default_factory=dict)
    tags: tuple[str, ...] = ("Name", "axonos:instance", "axonos:stack")
    released: frozenset[str] = frozenset()
    homes_may_go: bool = False


@dataclass(frozen=True)
class Violation:
    """One thing that is against a rule: which rule, which resource, and a sentence."""

    rule: str
    resource: str
    why: str

    def __str__(self) -> str:
        """One line for a reader."""
        return f"{self.resource}: {self.why} [{self.rule}]"


def staying(plan: Iterable[Planned], *types: str) -> Iterator[Planned]:
    """Resources of these types that exist once the plan is carried out."""
    return (planned for planned in plan if planned.stays and planned.type in types)

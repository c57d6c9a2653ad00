"""Rules over a plan, looked at before any change: what no stack of ours may become. Pure.

A plan is every resource as it is wanted, changed or not. A rule yields violations; none needs a cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from infra.policy.cost import over_budget
from infra.policy.hosts import ended_hosts, lost_homes
from infra.policy.network import open_ssh
from infra.policy.planned import Planned, Policy, Violation
from infra.policy.tags import missing_tags
from infra.policy.volumes import unencrypted

Rule = Callable[[list[Planned], Policy], Iterator[Violation]]
RULES: tuple[Rule, ...] = (open_ssh, unencrypted, missing_tags, over_budget, lost_homes, ended_hosts)


def judge(plan: Iterable[Planned], policy: Policy) -> tuple[Violation, ...]:
    """Every violation of every rule, in the order of the rules.

    Args:
        plan: all resources as wanted, and those that would go.
        policy: what this stack allows.
    """
    resources = list(plan)
    return tuple(violation for rule in RULES for violation in rule(resources, policy))


__all__ = ["RULES", "Planned", "Policy", "Violation", "judge"]

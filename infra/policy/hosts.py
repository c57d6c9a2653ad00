"""No plan takes away a home, or a host on which people may work. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from infra.policy.planned import GOING, INSTANCE, VOLUME, Planned, Policy, Violation, staying


def lost_homes(plan: list[Planned], policy: Policy) -> Iterator[Violation]:
    """Volumes that would go, or that nothing protects from going by mistake; a released host has no homes."""
    if policy.homes_may_go:
        return
    empty = {f"{host}-homes" for host in policy.released}
    for planned in plan:
        if planned.type == VOLUME and planned.op in GOING and planned.name not in empty:
            yield Violation("homes", planned.name, _away(planned.name))
    for planned in staying(plan, VOLUME):
        if not planned.protect and planned.op not in GOING:
            yield Violation("homes", planned.name, "holds homes and is not protected")


def ended_hosts(plan: list[Planned], policy: Policy) -> Iterator[Violation]:
    """Instances that would end while sessions may run on them."""
    for planned in plan:
        if planned.type == INSTANCE and planned.op in GOING and planned.name not in policy.released:
            yield Violation("hosts", planned.name, _drain(planned.name))


def _away(name: str) -> str:
    host = name.removesuffix("-homes")
    return f"would be removed with every home on it; `axonos hosts remove {host}` sends them away first"


def _drain(name: str) -> str:
    return (
        f"would end, and every session on it. First `axonos hosts drain {name}` and, once it is empty, "
        f"`axonos hosts remove {name}`; then repeat with `--released {name}`"
    )

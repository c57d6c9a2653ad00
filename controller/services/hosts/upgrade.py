"""A rolling upgrade: one host after the other is drained, converged when nobody is on it, and resumed.

It ends no session. A host that does not become empty in time stays drained and untouched, and the upgrade
stops there; asking again goes on. A host that does not report after its upgrade stays drained as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.errors import BadInput
from controller.services.deps import Deps
from controller.services.hosts import fleet
from controller.services.hosts import registry as hosts
from controller.services.hosts.registry import HostView
from controller.services.ports_hosts import Convergence

REPORT_MS = 60_000  # how long a host may take to report after its guard was started again


@dataclass(frozen=True)
class Plan:
    """What the operator asked for: hosts (all reached by SSH without any), who logs in, how long to wait."""

    names: tuple[str, ...]
    user: str
    login_key: Path
    wait_ms: int
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Upgraded:
    """How it went on one host. `state`: upgraded, unchanged, busy, silent, or waiting for one before it."""

    host: str
    state: str
    changed: tuple[str, ...] = ()


def upgrade(deps: Deps, convergence: Convergence, plan: Plan, *, pause: Callable[[], None]) -> list[Upgraded]:
    """Upgrade hosts one by one.

    Args:
        deps: ports.
        convergence: brings a machine to the state of a host.
        plan: what to do.
        pause: lets a moment pass between two looks.

    Returns:
        each host's outcome; the first that is busy or silent is the last that was touched.

    Raises:
        BadInput: a host that is not registered, or not reached by SSH.
        HostNotConverged: the playbook failed; that host stays drained.
    """
    found: list[Upgraded] = []
    chosen = _chosen(deps, plan.names)
    for number, host in enumerate(chosen):
        found.append(_upgrade_one(deps, convergence, plan, host, pause))
        if found[-1].state in ("busy", "silent"):
            return found + [Upgraded(later.name, "waiting") for later in chosen[number + 1 :]]
    return found


def _chosen(deps: Deps, names: Sequence[str]) -> list[HostView]:
    known = {host.name: host for host in hosts.list_hosts(deps)}
    if missing := sorted(set(names) - set(known)):
        raise BadInput(f"There is no host named {', '.join(missing)}.", field="name")
    chosen = [known[name] for name in names] or [h for h in known.values() if h.connection == "ssh"]
    if here := [host.name for host in chosen if host.connection != "ssh"]:
        raise BadInput(f"{', '.join(here)} is this machine: `make up` upgrades it.", field="name")
    return chosen


def _upgrade_one(
    deps: Deps, convergence: Convergence, plan: Plan, host: HostView, pause: Callable[[], None]
) -> Upgraded:
    was_drained = host.state == "draining"
    fleet.drain(deps, host.name)
    if not _until(deps, plan.wait_ms, lambda: _nobody(deps, host.name), pause):
        return Upgraded(host.name, "busy")
    address = f"{plan.user}@{host.address.rpartition('@')[2]}"
    changed = convergence.run(host.name, address, plan.login_key, plan.variables).changed
    done = deps.clock.now_ms()
    if not _until(deps, REPORT_MS, lambda: _reported(deps, host.name, done), pause):
        return Upgraded(host.name, "silent", changed)
    if not was_drained:
        fleet.resume(deps, host.name)
    return Upgraded(host.name, "upgraded" if changed else "unchanged", changed)


def _nobody(deps: Deps, name: str) -> bool:
    standing = fleet.standing(deps, name)
    return not (standing.sessions or standing.slots)


def _reported(deps: Deps, name: str, since_ms: int) -> bool:
    at = hosts.show(deps, name).last_report_at_ms
    return at is not None and at >= since_ms


def _until(deps: Deps, limit_ms: int, condition: Callable[[], bool], pause: Callable[[], None]) -> bool:
    until = deps.clock.now_ms() + limit_ms
    while not condition():
        if deps.clock.now_ms() >= until:
            return False
        pause()
    return True

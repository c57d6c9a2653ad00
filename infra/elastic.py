"""When a pool of cloud machines grows and shrinks. Pure: the same facts give the same step.

Promises that cannot be kept in time call for machines, up to a cap; a machine that was idle for a while is
drained, and removed once nothing of anybody is on it. One step at a time, and growing goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# The queue looks at a new claim within seconds; before that it has no promise.
SETTLE_MS = 30_000
Action = Literal["stay", "grow", "resume", "drain", "remove"]


@dataclass(frozen=True)
class Limits:
    """What the operator allows: sizes, GPUs of one machine, how long people and idle machines may wait.

    `gpu_model` is the label of the pool's machines, empty where the stack does not say.
    """

    floor: int
    cap: int
    gpus_per_host: int
    patience_ms: int
    idle_ms: int
    gpu_model: str = ""


@dataclass(frozen=True)
class Claim:
    """Somebody who waits. `latest_ms` is the promise, None where none could be given or it is `broken`.

    `gpu_model` is the label it asks for, empty for any.
    """

    gpus: int
    waiting_since_ms: int
    latest_ms: int | None
    broken: bool = False
    gpu_model: str = ""


@dataclass(frozen=True)
class Member:
    """A machine of the pool. `state` is the controller's, `absent` before it is registered.

    It is `arriving` until its image is there.
    """

    name: str
    state: str
    sessions: int = 0
    homes: int = 0
    idle_since_ms: int | None = None


@dataclass(frozen=True)
class Step:
    """What to do next, with which machines (their number for growth), and why."""

    action: Action
    why: str
    hosts: tuple[str, ...] = ()
    count: int = 0


def decide(now_ms: int, claims: Sequence[Claim], members: Sequence[Member], limits: Limits) -> Step:
    """The pool's next step.

    Args:
        now_ms: the time.
        claims: everybody who waits.
        members: the pool's machines, those being made too.
        limits: what is allowed.
    """
    unmet = [claim for claim in claims if _unmet(now_ms, claim, limits)]
    if unmet:
        return _more(unmet, members, limits)
    if len(members) < limits.floor:
        return Step("grow", f"fewer than {limits.floor} machines", count=limits.floor - len(members))
    return _less(now_ms, members, limits)


def _unmet(now_ms: int, claim: Claim, limits: Limits) -> bool:
    """Whether somebody would wait longer than people should; who fits no machine of the pool never counts."""
    if claim.gpus > limits.gpus_per_host or claim.gpu_model not in ("", limits.gpu_model):
        return False
    if now_ms - claim.waiting_since_ms < SETTLE_MS:
        return False
    return claim.latest_ms is None or claim.broken or claim.latest_ms > now_ms + limits.patience_ms


def _more(unmet: Sequence[Claim], members: Sequence[Member], limits: Limits) -> Step:
    gpus = sum(claim.gpus for claim in unmet)
    wanted = -(-gpus // limits.gpus_per_host)
    why = f"{len(unmet)} waiting for {gpus} GPUs longer than promised or bearable"
    coming = sum(member.state in {"absent", "arriving"} for member in members)
    leaving = tuple(m.name for m in members if m.state == "draining")[: max(0, wanted - coming)]
    if leaving:
        return Step("resume", why, leaving)
    count = min(wanted - coming, limits.cap - len(members))
    if count > 0:
        return Step("grow", why, count=count)
    return Step("stay", f"{why}; " + ("machines are on their way" if coming else "the cap is reached"))


def _less(now_ms: int, members: Sequence[Member], limits: Limits) -> Step:
    empty = [m for m in members if m.state in {"draining", "removed"} and not m.sessions]
    if empty:
        return Step("remove", "drained, and no session is on it", (_last(empty),))
    spare = len(members) - limits.floor
    idle = [m for m in members if m.state == "ready" and not m.sessions and _idle(now_ms, m, limits)]
    if spare > 0 and idle:
        return Step("drain", f"idle for {limits.idle_ms // 60_000} minutes", (_last(idle),))
    return Step("stay", "nobody waits too long, nothing is idle too long")


def _idle(now_ms: int, member: Member, limits: Limits) -> bool:
    return member.idle_since_ms is not None and now_ms - member.idle_since_ms >= limits.idle_ms


def _last(members: Sequence[Member]) -> str:
    """The machine with the fewest homes to send away; of equal ones the last made."""
    return min(members, key=lambda m: (m.homes, [-len(m.name), *(-ord(letter) for letter in m.name)])).name

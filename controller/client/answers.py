"""The answers that this client uses; what it does not know it leaves aside, so a newer site is no fault."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Me:
    """The wallet that asks; GPU-milliseconds, 60 000 are one minute of one GPU."""

    wallet: str
    available_gpu_ms: int
    csrf_token: str


@dataclass(frozen=True)
class Ssh:
    """Where a shell answers. `host_key` is empty until it does; `alias` names the home in known_hosts."""

    host: str
    port: int
    user: str
    host_key: str
    alias: str
    known_hosts: str


@dataclass(frozen=True)
class Session:
    """A session: `queued`, `starting`, `running`, `grace`, `ending`, `ended` or `failed`."""

    id: str
    state: str
    kind: str
    profile: str
    gpus: int
    queue_position: int | None
    queue_reason: str
    why: str
    billed_gpu_ms: int
    ends_at_ms: int | None
    ssh: Ssh | None


def me(said: dict[str, Any]) -> Me:
    """The answer of `GET /api/v1/me`."""
    return Me(said["wallet"], said["balance"]["available_gpu_ms"], said["csrf_token"])


def session(said: dict[str, Any]) -> Session:
    """A session as the API has it."""
    ssh = said.get("ssh")
    return _known(Session, {**said, "ssh": _known(Ssh, ssh) if ssh else None})


def _known(kind: type[T], said: dict[str, Any]) -> T:
    return kind(**{field.name: said[field.name] for field in fields(kind)})  # type: ignore[arg-type]

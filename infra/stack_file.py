"""The operator's file of a stack, STATE/stacks/NAME.toml, and what the instance adds to it.

Everything is checked as a whole: `StackConfigInvalid` lists every problem at once.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from infra.errors import StackConfigInvalid
from infra.first.source import source_digest
from infra.instance import Instance
from infra.stack_aws import Aws, simulated
from infra.stack_config import StackConfig, listed, saved_config, stack_config
from infra.stack_parts import Budget, Gpu, Host, Part, Playbook


class SshHost(Host):
    """A machine that exists already, as its operator describes it."""

    connection: Literal["ssh"] = "ssh"
    address: str = Field(pattern=r"^[A-Za-z0-9.:-]+$")
    gateway_url: str = Field(pattern=r"^wss?://[^/\s]+$")
    simulated_gpus: int = Field(default=0, ge=0, le=64)

    @model_validator(mode="after")
    def _one_kind(self) -> SshHost:
        if self.gpus and self.simulated_gpus:
            raise ValueError("give either gpus or simulated_gpus; with neither, the NVIDIA driver is asked")
        return self

    def resolved(self) -> Host:
        """The host with its simulated GPUs named."""
        fields = self.model_dump(exclude={"simulated_gpus", "gpus"})
        gpus: tuple[Gpu, ...] = self.gpus or simulated(self.name, self.simulated_gpus)
        return Host(**fields, gpus=gpus)


class StackFile(Part):
    """What the file may say."""

    kind: Literal["metal", "aws"]
    # Where the hosts' guards reach the controller.
    controller_url: str = Field(pattern=r"^https?://[^\s]+$")
    # False leaves machines as they are: nothing is installed on them.
    converge: bool = True
    variables: dict[str, Any] = Field(default_factory=dict)
    hosts: tuple[SshHost, ...] = ()
    aws: Aws | None = None
    policy: Budget = Budget()
    state_url_file: Path | None = None


def stack_path(state_dir: Path, stack: str) -> Path:
    """Where a stack's file lies."""
    return state_dir / "stacks" / f"{stack}.toml"


def configured(instance: Instance, stack: str) -> StackConfig:
    """A stack's configuration: its file if there is one, else what its last `up` kept.

    Raises:
        StackConfigInvalid: there is neither, or it has problems.
    """
    if stack_path(instance.state, stack).exists():
        return stack_from_file(instance, stack)
    return saved_config(instance.state, stack)


def members_path(state_dir: Path, stack: str) -> Path:
    """Where an elastic pool keeps which machines it has."""
    return stack_path(state_dir, stack).with_suffix(".members.json")


@dataclass(frozen=True)
class Members:
    """Machines of an elastic pool: number to when it was wanted, and the next, for none is used twice."""

    made_ms: dict[int, int]
    following: int


def read_members(state_dir: Path, stack: str) -> Members | None:
    """An elastic pool's machines; None before its first step.

    Raises:
        StackConfigInvalid: the file is damaged.
    """
    path = members_path(state_dir, stack)
    try:
        kept = json.loads(path.read_bytes())
        return Members({int(n): int(at) for n, at in kept["made_ms"].items()}, int(kept["following"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise StackConfigInvalid(f"{path} is damaged: {error!r}") from error


def _sized(aws: Aws | None, members: Members | None) -> Aws | None:
    """The section with its elastic pool's machines by number."""
    if aws is None:
        return None
    pools = [
        pool.model_copy(update={"numbers": tuple(members.made_ms if members else range(pool.elastic.floor))})
        if pool.elastic
        else pool
        for pool in aws.pools
    ]
    return aws.model_copy(update={"pools": tuple(pools)})


def stack_from_file(instance: Instance, stack: str) -> StackConfig:
    """The stack that its file describes.

    Raises:
        StackConfigInvalid: there is no file, or it has problems; all are listed.
    """
    path = stack_path(instance.state, stack)
    try:
        told = StackFile.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise StackConfigInvalid(f"{path}: {error.strerror}. infra/README.md shows what it says.") from error
    except tomllib.TOMLDecodeError as error:
        raise StackConfigInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        raise StackConfigInvalid(listed(str(path), error)) from error
    return stack_config(
        instance=instance.name,
        stack=stack,
        kind=told.kind,
        state_dir=instance.state,
        run_dir=instance.run,
        hosts=tuple(host.resolved() for host in told.hosts),
        homes_shared=instance.homes_shared,
        aws=_sized(told.aws, read_members(instance.state, stack)),
        policy=told.policy,
        state_url_file=told.state_url_file,
        playbooks=_playbooks(instance, told) if told.converge else (),
    )


def _playbooks(instance: Instance, told: StackFile) -> tuple[Playbook, ...]:
    variables = {
        "axonos_instance": instance.name,
        "axonos_state_dir": str(instance.state),
        "axonos_run_dir": str(instance.run),
        "axonos_gateway_port": instance.gateway_port,
        "axonos_controller_url": told.controller_url,
        "axonos_origin": told.controller_url,
        "axonos_source_digest": source_digest(instance.source),
        **instance.homes_variables,
        **told.variables,
    }
    folder = instance.source / "playbooks"
    return (
        Playbook(name="host", path=folder / "host.yml", variables=variables),
        Playbook(name="gpu_host", path=folder / "gpu_host.yml", variables=variables, real_gpus=True),
    )

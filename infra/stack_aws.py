"""The `[aws]` section of a stack: where, which machines, how many, who may reach them. Checks itself.

Credentials are not here: the AWS SDK finds them (environment, profile, instance role).
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from infra.stack_parts import Gpu, Host, Part


def _cidr(text: str) -> str:
    return str(ipaddress.ip_network(text))


Cidr = Annotated[str, AfterValidator(_cidr)]


class Elastic(Part):
    """A pool that grows with promises that cannot be kept in time, and shrinks when idle."""

    floor: int = Field(default=0, ge=0, le=64)
    cap: int = Field(ge=1, le=64)
    gpus_per_host: int = Field(ge=1, le=16)
    # A promise later than this calls for a machine.
    patience_minutes: int = Field(default=10, ge=1)
    idle_minutes: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _order(self) -> Elastic:
        if self.floor > self.cap:
            raise ValueError(f"floor {self.floor} is above cap {self.cap}")
        return self


class Pool(Part):
    """Machines of one kind, named `NAME-0`, `NAME-1` …; `numbers` instead of `count` says exactly which."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,24}$")
    instance_type: str = Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")
    count: int = Field(default=1, ge=0, le=64)
    numbers: tuple[Annotated[int, Field(ge=0, le=999)], ...] | None = None
    # 0 makes no volume: homes lie on a shared file system.
    homes_gib: int = Field(default=100, ge=0, le=16384)
    root_gib: int = Field(default=100, ge=8, le=16384)
    # Machines without GPUs, to try everything else; on the others the driver is asked.
    simulated_gpus: int = Field(default=0, ge=0, le=64)
    # What their GPUs are called, where people choose; else as the driver says.
    gpu_model: str | None = Field(default=None, min_length=1, max_length=100)
    # `axonos infra scale` decides how many there are then, not `count`.
    elastic: Elastic | None = None

    @model_validator(mode="after")
    def _once(self) -> Pool:
        if self.numbers is not None and len(set(self.numbers)) != len(self.numbers):
            raise ValueError(f"pool {self.name} has a number twice")
        return self

    def names(self) -> tuple[str, ...]:
        """Its hosts."""
        numbers = range(self.count) if self.numbers is None else sorted(self.numbers)
        return tuple(f"{self.name}-{number}" for number in numbers)


class Aws(Part):
    """Everything the EC2 part of a stack is told."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    availability_zone: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$")
    # Pinned by ID: another image is another machine, and that is to be asked for.
    ami: str = Field(pattern=r"^ami-[0-9a-f]{8,17}$")
    pools: tuple[Pool, ...] = Field(min_length=1)
    subnet_id: str | None = Field(default=None, pattern=r"^subnet-[0-9a-f]+$")
    vpc_id: str | None = Field(default=None, pattern=r"^vpc-[0-9a-f]+$")
    ssh_cidrs: tuple[Cidr, ...] = Field(min_length=1)
    browser_cidrs: tuple[Cidr, ...] = ("0.0.0.0/0",)
    gateway_port: int = Field(default=443, ge=1, le=65535)
    # `{host}` stands for the host's name.
    gateway_url: str = Field(pattern=r"^wss?://[^/\s]*\{host\}[^/\s]*$")
    user: str = Field(default="ubuntu", pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    key_file: Path
    public_key: str = Field(pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+) [A-Za-z0-9+/=]+( .*)?$")
    # Another service that speaks EC2's language; None for AWS itself.
    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")

    @model_validator(mode="after")
    def _fits(self) -> Aws:
        problems = []
        if self.availability_zone[:-1] != self.region:
            problems.append(f"availability_zone {self.availability_zone} is not in {self.region}")
        if not self.key_file.is_file():
            problems.append(f"there is no key file {self.key_file}")
        if sum(pool.elastic is not None for pool in self.pools) > 1:
            problems.append("one pool of a stack may be elastic")
        names = [pool.name for pool in self.pools]
        problems += [
            f"pool {name} is listed twice" for name in sorted({n for n in names if names.count(n) > 1})
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def hosts(self) -> tuple[tuple[Pool, Host], ...]:
        """Each host with its pool; its address is known once the machine is."""
        return tuple((pool, self._host(pool, name)) for pool in self.pools for name in pool.names())

    def _host(self, pool: Pool, name: str) -> Host:
        return Host(
            name=name,
            connection="ssh",
            address="",
            user=self.user,
            key_file=self.key_file,
            gpus=simulated(name, pool.simulated_gpus),
            gpu_model=pool.gpu_model,
            gateway_url=self.gateway_url.replace("{host}", name),
        )


def simulated(host: str, count: int) -> tuple[Gpu, ...]:
    """Simulated GPUs of a host, named after it."""
    return tuple(Gpu(uuid=f"SIM-{host}-{n}", simulated=True, model="simulated") for n in range(count))

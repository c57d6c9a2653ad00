"""The parts a stack's configuration is made of: ports, GPUs, hosts, playbooks, budget. Each checks itself."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ports(Part):
    """Loopback ports of this instance."""

    web: int = Field(default=8080, ge=1, le=65535)
    gateway: int = Field(default=8081, ge=1, le=65535)
    anvil: int = Field(default=8545, ge=1, le=65535)

    @model_validator(mode="after")
    def _differ(self) -> Ports:
        if len({self.web, self.gateway, self.anvil}) < 3:
            raise ValueError("web, gateway and anvil need three different ports")
        return self


class Gpu(Part):
    """One GPU of a host: a device named by UUID, or a simulated one.

    GPUs with one `island` share an NVLink or a PCIe switch; sessions get GPUs of one where they can.
    """

    uuid: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$")
    simulated: bool = False
    model: str = "unknown"
    island: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,40}$")


class Host(Part):
    """A machine with a Docker engine, this one or one reached by SSH."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    connection: Literal["local", "ssh"] = "local"
    address: str = "127.0.0.1"
    port: int = Field(default=22, ge=1, le=65535)
    user: str = Field(default="root", pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    # The private key that lets us in; stays where it is, only its path is kept.
    key_file: Path | None = None
    # `TYPE BASE64` as the machine shows it. None takes what it shows the first time, and nothing else later.
    host_key: str | None = Field(default=None, pattern=r"^(ssh|ecdsa)[a-z0-9@.-]* [A-Za-z0-9+/=]+$")
    gpus: tuple[Gpu, ...] = ()
    # What they are called, where people choose; else as `gpus` or the driver says.
    gpu_model: str | None = Field(default=None, min_length=1, max_length=100)
    # A whole disk for homes; without one they lie in a file.
    homes_disk: Path | None = None
    # Where browsers reach its gateway.
    gateway_url: str | None = Field(default=None, pattern=r"^wss?://[^/\s]+$")

    @property
    def simulated(self) -> bool:
        """Whether no GPU of it is real; of one that names none the driver is asked, so they are."""
        return bool(self.gpus) and all(gpu.simulated for gpu in self.gpus)


class Playbook(Part):
    """A playbook that belongs to the wanted state, run again when its content or variables change.

    `after_image` runs wait for the desktop image and get `axonos_image_id` as one more variable. Variables
    are kept in the stack's state: name secrets by file. `real_gpus` runs only where GPUs are not simulated.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")
    path: Path
    variables: dict[str, Any] = {}
    after_image: bool = False
    real_gpus: bool = False


class Budget(Part):
    """What the policy allows a stack to cost: a cap in whole dollars a month, and prices we do not know."""

    monthly_cap_usd: int | None = Field(default=None, ge=0)
    # Given in dollars an hour, at most six digits after the point.
    prices_usd_per_hour: dict[str, Decimal] = {}

    def prices_micro_usd(self) -> dict[str, int]:
        """The same prices as integers, rounded up."""
        return {
            kind: int((price * 1_000_000).to_integral_value(ROUND_CEILING))
            for kind, price in self.prices_usd_per_hour.items()
        }

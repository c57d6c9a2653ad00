"""The `[storage]` section: how large homes may become, what they cost, and where they lie."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from controller.settings_money import Section

MOUNTABLE = r"""^([^-\s"'\\%$][^\s"'\\%$]*)?$"""


class Storage(Section):
    """Homes: how large one may become, what it costs, how deep storage may take a balance, and what then.

    `gpu_ms_per_gb_hour` is the price: 3 000 is 0.05 GPU-minute; a GB is 10^9 bytes. With `billed` offline
    nothing is charged while a session of the wallet runs. `floor_minutes` is the lowest balance that storage
    leaves; a home whose wallet is there is put away, `notice_days` after its owner was warned at the
    earliest, which happens `warn_days` ahead, and kept for `recovery_days` from then on. `settle_minutes` is
    how often storage is charged, `snapshots` how many an owner may keep.

    `shared` is the file system on which all hosts have their homes, such as `files.example.org:/homes`, with
    its type and mount options; empty where each host has its own. Such a one keeps no snapshots and no quota.
    """

    quota_gb: int = Field(default=100, ge=0, le=1_000_000)
    gpu_ms_per_gb_hour: int = Field(default=3_000, ge=0, le=10**9)
    billed: Literal["offline", "always"] = "offline"
    floor_minutes: int = Field(default=-1_440, le=0)
    warn_days: int = Field(default=7, ge=1)
    notice_days: int = Field(default=3, ge=1)
    recovery_days: int = Field(default=7, ge=1)
    settle_minutes: int = Field(default=60, ge=1)
    snapshots: int = Field(default=8, ge=0, le=32)
    shared: str = Field(default="", pattern=MOUNTABLE)
    shared_type: str = Field(default="nfs4", pattern=MOUNTABLE)
    shared_options: str = Field(default="", pattern=MOUNTABLE)

    @model_validator(mode="after")
    def _warns_in_time(self) -> Storage:
        if self.notice_days > self.warn_days:
            raise ValueError("notice_days must not be more than warn_days")
        return self

    @property
    def quota_bytes(self) -> int:
        return 0 if self.shared else self.quota_gb * 10**9

    @property
    def most_snapshots(self) -> int:
        return 0 if self.shared else self.snapshots

    @property
    def variables(self) -> dict[str, str]:
        """What playbooks that make a host are told of a shared file system; nothing where there is none."""
        names = ("shared", "shared_type", "shared_options")
        return {f"axonos_homes_{name}": getattr(self, name) for name in names} if self.shared else {}

    @property
    def floor_gpu_ms(self) -> int:
        return self.floor_minutes * 60_000

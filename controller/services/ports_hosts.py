"""Ports for machines that are, or are to become, hosts: how they are looked at, how they are converged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class SeenGpu:
    """A GPU as its driver names it."""

    uuid: str
    model: str


class NewHosts(Protocol):
    """Machines that are to become hosts, as they are seen from here."""

    def host_key(self, address: str) -> str:
        """The key a machine shows now.

        Raises:
            HostUnreachable: nothing answers there.
        """
        ...

    def pinned(self, address: str) -> str | None:
        """The key that was accepted for this address."""
        ...

    def pin(self, address: str, key: str) -> None:
        """Accept a key for this address from now on."""
        ...

    def gpus(self, address: str, login_key: Path) -> list[SeenGpu]:
        """Its GPUs, by its driver; none where there is no driver.

        Raises:
            HostUnreachable, HostLoginRefused, HostKeyRefused: no command could be run there.
        """
        ...

    def own_key(self, owner: Path) -> None:
        """Have the key with which the platform itself logs in, readable by whoever owns the file `owner`."""
        ...


@dataclass(frozen=True)
class Converged:
    """A machine that is as a host should be, and what had to change for that."""

    changed: tuple[str, ...]


class Convergence(Protocol):
    """Brings machines to the state of a host."""

    def run(
        self,
        name: str,
        address: str,
        login_key: Path,
        variables: dict[str, Any],
        *,
        check: bool = False,
        playbook: str = "host.yml",
    ) -> Converged:
        """Converge one machine, or only look (`check`).

        Raises:
            HostNotConverged: with the task that failed and what it said.
        """
        ...

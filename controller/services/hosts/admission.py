"""A machine becomes a host: its key is pinned, its GPUs are found, it is converged, then registered.

Safe to repeat: a host that is registered is looked at, converged and brought up to date again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.errors import BadInput, HostKeyRefused
from controller.services.deps import Deps
from controller.services.hosts import image_welcome
from controller.services.hosts import registry as hosts
from controller.services.hosts.images import Archive
from controller.services.hosts.registry import GpuSpec, HostView
from controller.services.ports_hosts import Convergence, NewHosts

OF_GPUS = "gpu_host.yml"


@dataclass(frozen=True)
class Wanted:
    """What the operator says about a new host.

    `address` is `[user@]address[:port]` of somebody who may become root there, by the private key in
    `login_key`. `host_key` is the fingerprint it must show, None to take whatever it shows the first time
    (`accept_new`) or to refuse. Without `gpus` the NVIDIA driver is asked; `gpu_model` is the
    operator's own name for their model. `variables` go to the playbook.
    """

    name: str
    address: str
    login_key: Path
    gateway_url: str
    host_key: str | None = None
    accept_new: bool = False
    gpus: Sequence[GpuSpec] = ()
    simulated: bool = False
    gpu_model: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Admitted:
    """A host that was let in: whether its row changed, what was converged, whether its image is to come."""

    host: HostView
    changed: bool
    converged: tuple[str, ...]
    arriving: bool = False


def admit(
    deps: Deps,
    reach: NewHosts,
    convergence: Convergence,
    wanted: Wanted,
    *,
    fingerprint: Callable[[str], str],
    image: Archive | None = None,
) -> Admitted:
    """Let a machine in.

    Args:
        deps: ports.
        reach: how machines are looked at.
        convergence: brings the machine to the state of a host.
        wanted: what the operator said.
        fingerprint: of a key, as people compare it.
        image: brought to a new host, which is taken into use once it has it.

    Raises:
        HostKeyRefused: its key is new, and nobody vouched for it; or it is another one than was accepted.
        HostUnreachable, HostLoginRefused: it does not answer, or does not let us in.
        HostNotConverged: the playbook failed; nothing was registered.
        BadInput: a field has the wrong form, or it has no GPUs.
    """
    if not wanted.login_key.is_file():
        raise BadInput(f"{wanted.login_key} is no file with a private key.", field="key")
    if image is not None:
        image_welcome.check(deps, image)
    trust(reach, wanted, fingerprint)
    reach.own_key(deps.settings.secrets.guard_token)
    found = [GpuSpec(one.uuid, one.model) for one in reach.gpus(wanted.address, wanted.login_key)]
    gpus = hosts.labelled(list(wanted.gpus) or found, wanted.gpu_model)
    if not gpus:
        raise BadInput(
            f"{wanted.name} has no NVIDIA driver that answers. Name its GPUs, or declare --simulated-gpus N.",
            field="gpus",
        )
    converged = _converge(convergence, wanted, gpus)
    registered = hosts.register(
        deps,
        wanted.name,
        connection="ssh",
        address=wanted.address.rpartition("@")[2],
        gateway_url=wanted.gateway_url,
        gpus=gpus,
        simulated=wanted.simulated,
        waits=image is not None,
    )
    waiting = image_welcome.welcome(deps, image, [wanted.name] if registered.new else []) if image else []
    return Admitted(registered.host, registered.changed, converged, wanted.name in waiting)


def _converge(convergence: Convergence, wanted: Wanted, gpus: Sequence[GpuSpec]) -> tuple[str, ...]:
    """The host's playbook; for real GPUs also theirs, whose last task is the gate."""
    declared = [{"uuid": gpu.uuid, "simulated": wanted.simulated} for gpu in gpus]
    variables = {"axonos_gpus": declared, **wanted.variables}
    who = (wanted.name, wanted.address, wanted.login_key, variables)
    changed = convergence.run(*who).changed
    return changed if wanted.simulated else changed + convergence.run(*who, playbook=OF_GPUS).changed


def trust(reach: NewHosts, wanted: Wanted, fingerprint: Callable[[str], str]) -> None:
    """Compare the key that the machine shows with the one that is known, or accept it as told.

    Raises:
        HostKeyRefused: see `admit`; `detail` has the fingerprint it shows.
    """
    shown = reach.host_key(wanted.address)
    pinned, print_ = reach.pinned(wanted.address), fingerprint(shown)
    if wanted.host_key is not None and wanted.host_key != print_:
        raise HostKeyRefused(f"{wanted.name} shows the key {print_}, not {wanted.host_key}.", shown=print_)
    if pinned == shown:
        return
    if pinned is not None and wanted.host_key is None:
        raise HostKeyRefused(
            f"{wanted.name} shows another key ({print_}) than the one that was accepted "
            f"({fingerprint(pinned)}). If the machine was installed anew, say so with --host-key {print_}.",
            shown=print_,
        )
    if wanted.host_key is None and not wanted.accept_new:
        raise HostKeyRefused(
            f"{wanted.name} shows the key {print_}, which nobody has accepted yet. Compare it with its own "
            f"(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then say --host-key {print_}.",
            shown=print_,
        )
    reach.pin(wanted.address, shown)

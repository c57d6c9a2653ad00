"""From the stack's hosts to an Ansible inventory, and to what the controller registers. Pure."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.stack_parts import Gpu, Host

# A machine that has just been started takes a while until its SSH server answers.
SSH_RETRIES = 10


def inventory(
    hosts: Iterable[Host], known_hosts: Path | None = None, *, fresh: bool = False
) -> dict[str, Any]:
    """The inventory as ansible-runner takes it: all hosts in group `gpu_hosts`.

    Args:
        hosts: with their addresses.
        known_hosts: the file of SSH keys that hosts are recognised by.
        fresh: the machines may still be starting.
    """
    more = {"ansible_ssh_retries": SSH_RETRIES} if fresh else {}
    found = {host.name: host_variables(host, known_hosts) | more for host in hosts}
    return {"all": {"children": {"gpu_hosts": {"hosts": found}}}}


def host_variables(host: Host, known_hosts: Path | None = None) -> dict[str, Any]:
    """How Ansible reaches a host, which GPUs it declares, and where its homes lie."""
    gpus = [_declared(gpu) for gpu in host.gpus]
    if host.connection == "local":
        # The interpreter that runs Ansible has the libraries its modules need.
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "axonos_gpus": gpus,
        }
    found = {
        "ansible_connection": "ssh",
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "ansible_become": host.user != "root",
        "ansible_ssh_common_args": ssh_options(host, known_hosts),
        "axonos_gpus": gpus,
        "axonos_real_gpus": not host.simulated,
    }
    if host.host_key:
        found["ansible_control_path"] = f"%(directory)s/{_of_this_key(host)}"
    if host.key_file is not None:
        found["ansible_ssh_private_key_file"] = str(host.key_file)
    if host.homes_disk is not None:
        found["axonos_homes_disk"] = str(host.homes_disk)
    return found


def _of_this_key(host: Host) -> str:
    """A connection that is kept open was made with the key of its time: one for each key on record."""
    made_with = f"{host.user}@{host.address}:{host.port} {host.host_key}"
    return hashlib.sha256(made_with.encode()).hexdigest()[:16]


def _declared(gpu: Gpu) -> dict[str, Any]:
    """A GPU as playbooks are told of it; its model where that is known of a real one."""
    nameless = gpu.simulated or gpu.model == "unknown"
    return gpu.model_dump(exclude={"model"} if nameless else None, exclude_none=True)


def ssh_options(host: Host, known_hosts: Path | None) -> str:
    """Options of `ssh`: another key than the one on record is refused; an unknown one where one was given."""
    strict = "yes" if host.host_key else "accept-new"
    options = f"-o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking={strict}"
    return f"{options} -o UserKnownHostsFile={known_hosts}" if known_hosts else options


def registration(stack: str, hosts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What `axonos hosts sync` reads: the stack and its hosts as in the stack's outputs."""
    return {"stack": stack, "hosts": sorted(hosts, key=lambda host: str(host["name"]))}


def output_of(host: Host, address: str) -> dict[str, Any]:
    """One host as the stack's outputs show it."""
    at = f"[{address}]" if ":" in address else address
    gpus = [gpu.model_dump(include={"uuid", "model", "island"}, exclude_none=True) for gpu in host.gpus]
    own = {"model": host.gpu_model} if host.gpu_model else {}
    return {
        "name": host.name,
        "connection": host.connection,
        "address": at if host.port == 22 else f"{at}:{host.port}",
        "user": host.user,
        "gateway_url": host.gateway_url,
        "simulated": host.simulated,
        "gpus": [gpu | own for gpu in gpus],
    }

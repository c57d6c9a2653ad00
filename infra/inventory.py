"""From the stack's hosts to an Ansible inventory. Pure."""

from __future__ import annotations

import sys
from typing import Any

from infra.stack_config import Host


def inventory(hosts: tuple[Host, ...]) -> dict[str, Any]:
    """The inventory as ansible-runner takes it: all hosts in group `gpu_hosts`."""
    return {
        "all": {"children": {"gpu_hosts": {"hosts": {host.name: host_variables(host) for host in hosts}}}}
    }


def host_variables(host: Host) -> dict[str, Any]:
    """How Ansible reaches a host, and which GPUs it declares."""
    gpus = [gpu.model_dump() for gpu in host.gpus]
    if host.connection == "local":
        # The interpreter that runs Ansible has the libraries its modules need.
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "axonos_gpus": gpus,
        }
    return {"ansible_host": host.address, "ansible_user": host.user, "axonos_gpus": gpus}

"""From an instance to the configuration of its Pulumi stack."""

from __future__ import annotations

import subprocess

from infra.first.source import source_digest
from infra.instance import Instance
from infra.stack_config import Gpu, Host, Playbook, Ports, StackConfig, stack_config
from infra.up.gpu_islands import islands

CODE = ("controller", "infra", "images")


def configuration(instance: Instance) -> StackConfig:
    """Everything the stack is told: this machine as its one host, and the two halves of site.yml.

    Raises:
        StackConfigInvalid: with every problem.
    """
    playbooks = instance.source / "playbooks"
    variables = {
        "axonos_instance": instance.name,
        "axonos_state_dir": str(instance.state),
        "axonos_run_dir": str(instance.run),
        "axonos_web_port": instance.web_port,
        "axonos_gateway_port": instance.gateway_port,
        "axonos_chain_port": instance.chain_port,
        "axonos_homes_gib": instance.homes_gib,
        "axonos_source_digest": source_digest(instance.source),
        **instance.homes_variables,
    }
    return stack_config(
        instance=instance.name,
        state_dir=instance.state,
        run_dir=instance.run,
        ports=Ports(web=instance.web_port, gateway=instance.gateway_port, anvil=instance.chain_port),
        hosts=(Host(name="local", gpus=tuple(gpus(instance))),),
        homes_shared=instance.homes_shared,
        playbooks=(
            Playbook(name="host", path=playbooks / "host.yml", variables=variables),
            Playbook(
                name="controller",
                path=playbooks / "controller.yml",
                variables=variables,
                after_image=True,
            ),
        ),
        watched=tuple(instance.source / folder for folder in CODE),
    )


def gpus(instance: Instance) -> list[Gpu]:
    """This machine's GPUs by UUID and model; simulated ones where no NVIDIA driver answers."""
    lines = _nvidia("--query-gpu=uuid,name", "--format=csv,noheader").splitlines()
    named = [line.partition(",") for line in lines if line.strip()]
    shared = islands(_nvidia("topo", "-m"), len(named)) if len(named) > 1 else [None] * len(named)
    found = [
        Gpu(uuid=uuid.strip(), model=model.strip() or "unknown", island=island)
        for (uuid, _, model), island in zip(named, shared, strict=True)
    ]
    return found or [Gpu(uuid=f"SIM-{instance.name}-{n}", simulated=True) for n in range(instance.gpus)]


def _nvidia(*asked_for: str) -> str:
    try:
        asked = subprocess.run(
            ["nvidia-smi", *asked_for],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout if asked.returncode == 0 else ""

"""From a stack's outputs to two files for others: Ansible's inventory, and what the controller registers.

Infra and controller share no code: `axonos hosts sync FILE` is asked as a program.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Any

from infra.faults import REFUSED, Fault
from infra.gpu_look import gpus_of
from infra.instance import Instance
from infra.inventory import inventory, registration
from infra.reporting import Report
from infra.stack_config import StackConfig
from infra.stack_parts import Host
from infra.up.child import run_child

SYNC_LIMIT_S = 300
ASK_LIMIT_S = 120


def inventory_path(state_dir: Path, stack: str) -> Path:
    """Ansible's inventory of a stack."""
    return state_dir / "stacks" / f"{stack}.inventory.json"


def hosts_path(state_dir: Path, stack: str) -> Path:
    """What `axonos hosts sync` reads."""
    return state_dir / "stacks" / f"{stack}.hosts.json"


def write_hosts(instance: Instance, config: StackConfig, outputs: dict[str, Any]) -> None:
    """Write both files anew from the stack's outputs; the local stack registers its host itself.

    Raises:
        Fault: a host's GPUs are not named, and its driver does not answer.
    """
    if config.kind == "local":
        return
    told = [dict(one) for one in outputs.get("hosts") or []]
    hosts = [_reached(config, one) for one in told]
    for one, host in zip(told, hosts, strict=True):
        if not one["gpus"]:
            found = gpus_of(host, config.known_hosts)
            one["gpus"] = [{"uuid": gpu.uuid, "model": host.gpu_model or gpu.model} for gpu in found]
    _write(inventory_path(instance.state, config.stack), inventory(hosts, config.known_hosts))
    _write(hosts_path(instance.state, config.stack), registration(config.stack, told))


def register(instance: Instance, stack: str, report: Report) -> None:
    """Have the controller of this machine register the stack's hosts; without one there is nothing to do.

    Raises:
        Fault: it refused, with its reason.
    """
    path = hosts_path(instance.state, stack)
    if not path.exists() or not instance.config.exists():
        return
    report("registering the stack's hosts")
    run_child(
        [str(Path(sys.executable).with_name("axonos")), "hosts", "sync", str(path)],
        report=report,
        stop=Event(),
        what="The machines are as wanted, but the controller did not take them as hosts:",
        to_do=f"Mend that, then `axonos hosts sync {path}`.",
        timeout_s=SYNC_LIMIT_S,
        env={"AXONOS_CONFIG": str(instance.config)},
    )


def ask(instance: Instance, *words: str) -> dict[str, Any]:
    """What `axonos hosts WORDS… --json` answers.

    Raises:
        Fault: it refused, or the controller cannot be reached.
    """
    lines = run_child(
        [str(Path(sys.executable).with_name("axonos")), "hosts", *words, "--json"],
        report=lambda _line: None,
        stop=Event(),
        what=f"`axonos hosts {' '.join(words)}` failed:",
        to_do="Look at `axonos doctor`, then run it again.",
        timeout_s=ASK_LIMIT_S,
        env={"AXONOS_CONFIG": str(instance.config)},
    )
    found: dict[str, Any] = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
    return found


def check_released(instance: Instance, released: Iterable[str]) -> None:
    """Hosts that may end have left the platform: no session and no home is on them any more.

    Raises:
        Fault: the controller of this machine says otherwise of one.
    """
    if not instance.config.exists():
        return
    for name in released:
        state = ask(instance, "show", name)["state"]
        if state != "removed":
            to_do = f"`axonos hosts drain {name}`, then `axonos hosts remove {name}` until it is removed."
            raise Fault(f"{name} may not be released: the platform still has it ({state}).", to_do, REFUSED)


def _reached(config: StackConfig, told: dict[str, Any]) -> Host:
    """The host with the address that its output has."""
    known = config.hosts if config.aws is None else [host for _, host in config.aws.hosts()]
    found = next(host for host in known if host.name == told["name"])
    address = str(told["address"]).removesuffix(f":{found.port}").strip("[]")
    return found.model_copy(update={"address": address})


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    new.replace(path)

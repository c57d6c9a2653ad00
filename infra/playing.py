"""One of our playbooks on this machine, outside any stack."""

from __future__ import annotations

from typing import Any

from infra.faults import Fault
from infra.instance import Instance
from infra.inventory import inventory
from infra.playbook_process import Request, execute
from infra.reporting import Report
from infra.stack_parts import Host

LIMIT_S = 600


def play(instance: Instance, name: str, report: Report, **variables: Any) -> list[str]:
    """Run it and return what it changed; nothing where the instance has no such playbook.

    Raises:
        Fault: it failed; the task and its words are told.
    """
    playbook = instance.source / "playbooks" / f"{name}.yml"
    if not playbook.exists():
        return []
    report(f"running {playbook.name}")
    outcome = execute(
        Request(
            name=name,
            playbook=str(playbook),
            inventory=inventory((Host(name="local"),)),
            variables={
                "axonos_instance": instance.name,
                "axonos_state_dir": str(instance.state),
                "axonos_run_dir": str(instance.run),
                **variables,
            },
            work_dir=str(instance.state / "runs" / "infra"),
            log_dir=str(instance.state / "logs"),
            timeout_s=LIMIT_S,
        )
    )
    if outcome.status != "successful":
        told = "; ".join(outcome.failed) or outcome.status
        raise Fault(f"{playbook.name} did not finish: {told}", "Mend that, then run it again: it continues.")
    return outcome.changed

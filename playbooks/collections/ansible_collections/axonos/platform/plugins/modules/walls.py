"""Ansible module: what keeps sessions apart, firewall table and limits, as the host's program wants it."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import (
    CommandFailed,
    Differences,
    run,
)
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: walls
short_description: The firewall table and the limits of the sessions
description:
  - Asks C(axonos-host walls) whether the kernel has the table as it should be, and running desktops the
    limits they were started with, and lets them be put back.
author: [AxonOS (@axonos)]
options:
  instance: {description: Name of the instance., type: str, required: true}
  program: {description: The host program., type: path, required: true}
  config: {description: The host's configuration., type: path, required: true}
"""
EXAMPLES = r"""
- name: Keep the sessions apart
  axonos.platform.walls:
    instance: axonos
    program: /var/lib/axonos/venv/bin/axonos-host
    config: /var/lib/axonos/host.toml
"""
RETURN = r"""
results: {description: The table and each desktop that differed., type: list, returned: always}
"""
ARGUMENTS = {
    "instance": {"type": "str", "required": True},
    "program": {"type": "path", "required": True},
    "config": {"type": "path", "required": True},
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    found = Differences()
    question = json.dumps({"instance": params["instance"], "repair": not check})
    try:
        said = run([params["program"], "walls", "--config", params["config"]], text=question, check=False)
        answer = json.loads(said)
    except (CommandFailed, ValueError) as error:
        if check:  # the program itself is missing or broken, which another task names
            return found.result()
        raise CommandFailed(f"the host program did not answer about the firewall: {error}") from error
    if not answer["ok"]:
        raise CommandFailed(answer["message"])
    if answer["what"]:
        found.note("firewall table", str(answer["what"]))
    for desktop in answer["desktops"]:
        found.note("desktop", str(desktop))
    return found.result()


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)

"""Ansible module: the firewall table that keeps sessions apart, as the host's own program wants it."""

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
short_description: The firewall table of the sessions
description:
  - Asks C(axonos-host walls) whether the kernel has the table as it should be, and lets it be put back.
author: [AxonOS (@axonos)]
options:
  instance: {description: Name of the instance., type: str, required: true}
  program: {description: The host program., type: path, required: true}
  config: {description: The host's configuration., type: path, required: true}
"""
EXAMPLES = r"""
- name: Have the sessions' firewall
  axonos.platform.walls:
    instance: axonos
    program: /var/lib/axonos/venv/bin/axonos-host
    config: /var/lib/axonos/host.toml
"""
RETURN = r"""
results: {description: The table, if it differed., type: list, returned: always}
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
    if answer["changed"]:
        found.note("firewall table", str(answer["what"]))
    return found.result()


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)

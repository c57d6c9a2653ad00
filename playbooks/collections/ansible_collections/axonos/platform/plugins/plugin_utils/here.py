"""Runs a module of this collection inside Ansible where the host is this machine, else as a module there.

A module costs about 0.4 s of packing, starting Python and unpacking; a look at everything has twenty of them.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed

MODULES = "ansible_collections.axonos.platform.plugins.modules"


class ActionModule(ActionBase):  # type: ignore[misc] # ansible ships no types
    """Every module of the collection, by the task's own name."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        name = self._task.action.rpartition(".")[2]
        if not self._is_here(task_vars or {}):
            done = self._execute_module(f"axonos.platform.{name}", task_vars=task_vars)
            done.pop("invocation", None)  # it repeats what may be secret, and events are kept
            return result | done
        module = importlib.import_module(f"{MODULES}.{name}")
        _, tagged = self.validate_argument_spec(argument_spec=module.ARGUMENTS)
        params = json.loads(json.dumps(tagged))  # Ansible's own kinds of text become plain, as for a module
        try:
            return result | module.converge(params, bool(self._task.check_mode))
        except (CommandFailed, OSError) as error:
            return result | {"failed": True, "msg": str(error)}

    def _is_here(self, task_vars: dict[str, Any]) -> bool:
        """This machine, as root, with the Python environment that runs Ansible: the platform's own."""
        return (
            self._connection.transport == "local"
            and os.geteuid() == 0
            and not self._play_context.become
            and Path(str(task_vars.get("ansible_python_interpreter"))).parent == Path(sys.executable).parent
        )

"""The action of module `program`: packs what a host needs of this source, and the part of the lock for it."""

from __future__ import annotations

import hashlib
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.axonos.platform.plugins.plugin_utils.host_source import archive


class ActionModule(ActionBase):  # type: ignore[misc] # ansible ships no types
    """`axonos.platform.program`: source, entries, packages, target, venv."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("source", "entries", "packages", "target", "venv"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Pack, and let the module unpack it there."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self._task.args
        try:
            packed = archive(given["source"], list(given["entries"]), list(given["packages"]))
        except (OSError, KeyError, ValueError) as error:
            return result | {"failed": True, "msg": f"The host's programs could not be packed: {error}"}
        there = {"archive": packed, "target": given["target"], "venv": given["venv"]}
        done = self._execute_module("axonos.platform.program", module_args=there, task_vars=task_vars)
        done.pop("invocation", None)
        return result | done | {"digest": hashlib.sha256(packed.encode()).hexdigest()[:16]}

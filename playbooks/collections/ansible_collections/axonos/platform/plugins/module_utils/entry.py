"""How a module of this collection runs on a host; on Ansible's own machine the `here` action does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed

Converge = Callable[[dict[str, Any], bool], dict[str, Any]]


def run_module(arguments: dict[str, Any], converge: Converge) -> None:
    """Parse the arguments, converge, answer; an expected failure is its message alone."""
    from ansible.module_utils.basic import AnsibleModule  # noqa: PLC0415 -- `here` does without it

    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    try:
        result = converge(module.params, module.check_mode)
    except (CommandFailed, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)

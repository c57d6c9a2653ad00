"""Ansible module: system users, each with a group of its own name."""

from __future__ import annotations

import grp
import pwd
import subprocess
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import Differences, run
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: accounts
short_description: System users, each with a group of its own name
description:
  - Users have no password, and no shell and no home of their own unless they are given.
  - A user is removed only if its comment says that this module made it, and nothing of it still runs.
author: [AxonOS (@axonos)]
options:
  users:
    description: The users, each with C(name), optionally C(groups), and C(shell) with C(home) for logins.
    type: list
    elements: dict
    required: true
  comment: {description: Marks the users as ours., type: str, default: AxonOS}
  state: {description: Whether they shall exist., type: str, choices: [present, absent], default: present}
"""
EXAMPLES = r"""
- name: Have a user for the site
  axonos.platform.accounts:
    users:
      - {name: axonos, groups: []}
"""
RETURN = r"""
results: {description: Each user that was made or changed., type: list, returned: always}
"""
NO_HOME = "/nonexistent"
NO_SHELL = "/usr/sbin/nologin"
ARGUMENTS = {
    "users": {"type": "list", "elements": "dict", "required": True},
    "comment": {"type": "str", "default": "AxonOS"},
    "state": {"choices": ["present", "absent"], "default": "present"},
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    found = Differences()
    settle = _present if params["state"] == "present" else _absent
    for user in params["users"]:
        settle(user, params["comment"], found, check)
    return found.result()


def _known(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _present(user: dict[str, Any], comment: str, found: Differences, check: bool) -> None:
    name, known = user["name"], _known(user["name"])
    home, shell = user.get("home", NO_HOME), user.get("shell", NO_SHELL)
    if known is None:
        found.note(f"user {name}", "missing")
        if not check:
            run(
                [
                    *("useradd", "--system", "--user-group", "--no-create-home"),
                    *("--home-dir", home, "--shell", shell, "--comment", comment, name),
                ]
            )
    elif "shell" in user and (known.pw_dir, known.pw_shell) != (home, shell):
        found.note(f"user {name}", f"home {known.pw_dir} and shell {known.pw_shell}, not {home} and {shell}")
        if not check:
            run(["usermod", "--home", home, "--shell", shell, name])
    for group in user.get("groups") or []:
        if name in _members(group):
            continue
        found.note(f"user {name}", f"not in group {group}")
        if not check:
            run(["usermod", "--append", "--groups", group, name])


def _members(group: str) -> list[str]:
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


def _absent(user: dict[str, Any], comment: str, found: Differences, check: bool) -> None:
    name = user["name"]
    known = _known(name)
    if known is None or known.pw_gecos.split(",")[0] != comment:
        return
    running = subprocess.run(["pgrep", "-u", name], capture_output=True, check=False).returncode == 0
    if running:
        return
    found.note(f"user {name}", "removed")
    if not check:
        run(["userdel", name])


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
